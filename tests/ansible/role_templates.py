"""A role's expressions and templates, evaluated with its own defaults and variables, without Ansible.

Ansible's own classes for it must not be loaded beside torch, see tests/test_architecture.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jinja2
import yaml
from jinja2.nativetypes import NativeEnvironment
from jinja2.runtime import Context

from tests.ansible.conftest import PLAYBOOKS

if TYPE_CHECKING:
    from collections.abc import Callable


class _Recursive(Context):
    """Variables may be expressions over other variables, as in Ansible."""

    def resolve_or_missing(self, key: str) -> Any:
        value = super().resolve_or_missing(key)
        if isinstance(value, str) and "{{" in value:
            expressions = NativeEnvironment()
            _extend(expressions)
            return expressions.from_string(value).render(self.parent)
        return value


def _listing(made: Callable[..., Any]) -> Callable[..., Any]:
    @jinja2.pass_context
    def listed(*arguments: Any, **options: Any) -> list[Any]:
        return list(made(*arguments, **options))

    return listed


def _extend(environment: jinja2.Environment) -> None:
    """Give an environment the filters and tests of Ansible that our roles' templates use."""
    environment.context_class = _Recursive
    environment.filters["regex_replace"] = lambda text, pattern, new: re.sub(pattern, new, str(text))
    for name in ("map", "reject", "select"):  # Ansible makes lists of what they yield
        environment.filters[name] = _listing(environment.filters[name])
    environment.tests["search"] = lambda text, pattern: re.search(pattern, text) is not None


def _variables(role: str) -> dict[str, Any]:
    files = [PLAYBOOKS / "roles" / role / part / "main.yml" for part in ("defaults", "vars")]
    return {name: value for file in files for name, value in yaml.safe_load(file.read_text()).items()}


def evaluate(role: str, name: str, **variables: Any) -> Any:
    """The value of one of a role's variables, with others that win over the role's own."""
    environment = NativeEnvironment()
    _extend(environment)
    return environment.from_string(f"{{{{ {name} }}}}").render(_variables(role) | variables)


def template(role: str, name: str, **variables: Any) -> str:
    """The text that a template of a role becomes."""
    folder = PLAYBOOKS / "roles" / role / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), trim_blocks=True, autoescape=False
    )
    _extend(environment)
    return environment.get_template(name).render(_variables(role) | variables) + "\n"
