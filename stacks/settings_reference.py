"""Writes what is generated from the declarations of settings: `make reference`.

`docs/reference/settings.md`, the role options that are passed to the model package (the part of each
`argument_specs.yml` between two marks), and the defaults that roles need themselves.
"""

from __future__ import annotations

import importlib
import json
import re
import textwrap
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml

from scenario_model.config import Kinds, Section, kinds_of
from scenario_model.describe import one_line, sections_in, settings_of, summary, type_of
from scenario_model.edge.settings import EdgeSettings
from scenario_model.job.settings import JobSettings
from scenario_model.lifecycle.settings import LifecycleHere
from scenario_model.rollout.settings import PublishSettings, RolloutSettings
from scenario_model.serve.settings import ServeSettings, Serving
from scenario_model.train.settings import TrainSettings
from stacks.scenarios import SCENARIOS
from stacks.settings.premises import Balancer

ROOT = Path(__file__).resolve().parent.parent
_REFERENCE = ROOT / "docs" / "reference" / "settings.md"
_DEFAULTS = ROOT / "ansible" / "filter_plugins" / "settings.json"
_BLOCK = re.compile(
    r"^      # Declared: (\S+)\n.*?^      # End of what is declared elsewhere\n", re.MULTILINE | re.DOTALL
)
_NAMESPACES = {"premises": "premises:", "cloud": "cloud:", "aws": "aws:"}
_FILES: dict[str, type[Section]] = {
    "scenario-model train": TrainSettings,
    "scenario-model job": JobSettings,
    "scenario-model serve": ServeSettings,
    "scenario-model edge run": EdgeSettings,
    "scenario-model lifecycle step": LifecycleHere,
    "scenario-model rollout step": RolloutSettings,
    "scenario-model rollout publish": PublishSettings,
}
_TYPES = {
    "integer": "int",
    "number": "float",
    "true": "bool",
    "list": "list",
    "mapping": "dict",
    "section": "dict",
}


def contents() -> dict[Path, str]:
    """Return each generated file, by its path."""
    specs = sorted((ROOT / "ansible" / "roles").glob("*/meta/argument_specs.yml"))
    written = {path: _BLOCK.sub(_block, path.read_text(encoding="utf-8")) for path in specs}
    return written | {_REFERENCE: _reference(), _DEFAULTS: _defaults()}


def _reference() -> str:
    lines = [
        "# Settings",
        "",
        "Generated from the declarations by `make reference`; a test checks that it is current. A word in brackets:",
        "the key belongs to that kind only. Texts that contain `{`, numbers and lists may be set with",
        "`pulumi config set --path`.",
    ]
    for scenario in SCENARIOS.values():
        settings: type[Section] = importlib.import_module(scenario.module).Settings
        lines += [
            "",
            f"## Stacks of {scenario.name}",
            "",
            f"`stacks/Pulumi.<stack>.yaml`: {scenario.meaning}.",
            "",
        ]
        lines += _table(settings, stack=True)
    for command, section in _FILES.items():
        lines += ["", f"## `{command} --config`", "", *_table(section)]
    return "\n".join(lines) + "\n"


def _table(section: type[Section], *, stack: bool = False) -> list[str]:
    lines = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for each in settings_of(section):
        first, _, rest = each.key.partition(".")
        key = f"{_NAMESPACES[first]}{rest}" if stack and first in _NAMESPACES else each.key
        kind = f" [{each.kind}]" if each.kind else ""
        default = f"`{each.default}`" if each.default else "required"
        lines.append(f"| `{key}`{kind} | {each.type} | {default} | {each.help.replace('|', chr(92) + '|')} |")
    return lines


def _defaults() -> str:
    """Return the defaults that roles need: listen addresses of servers and balancer, and the drain time."""
    sections: dict[str, type[Section]] = {"serving": Serving, "balancer": Balancer}
    found = {
        name: {key: field.default for key, field in section.model_fields.items() if _is_plain(field.default)}
        for name, section in sections.items()
    }
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float)


class _Indented(yaml.SafeDumper):
    """Indents lists, as yamllint wants it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Indent, lists in mappings too."""
        super().increase_indent(flow, False)


def _block(found: re.Match[str]) -> str:
    """Return the role option of a mark, `option=module:Class`."""
    option, _, declared = found[1].partition("=")
    module, _, name = declared.partition(":")
    options = {option: _option(getattr(importlib.import_module(module), name))}
    text = yaml.dump(options, Dumper=_Indented, sort_keys=False, allow_unicode=True, width=120)
    return (
        f"      # Declared: {found[1]}\n"
        f"{textwrap.indent(text, '      ')}"
        "      # End of what is declared elsewhere\n"
    )


def _option(declared: Any) -> dict[str, Any]:
    kinds = next((each for each in getattr(declared, "__metadata__", ()) if isinstance(each, Kinds)), None)
    sections = get_args(declared.__origin__) if kinds else (declared,)
    words = (
        "; ".join(f"{' or '.join(kinds_of(each))}: {summary(each)}" for each in sections)
        if kinds
        else summary(sections[0])
    )
    return {"type": "dict", "default": {}, "description": f"{words}.", "options": _options(sections)}


def _options(sections: tuple[type[Section], ...]) -> dict[str, Any]:
    """Return the keys of a section, or of all members of a union."""
    found: dict[str, Any] = {}
    for section in sections:
        for name, field in section.model_fields.items():
            inner = sections_in(field)
            if name == "kind" and len(sections) > 1:
                kinds = [kind for each in sections for kind in kinds_of(each)]
                found["kind"] = {"type": "str", "choices": kinds, "description": "Which of them."}
            elif inner:
                described = "; ".join(f"{summary(each)}" for each in inner)
                found[name] = {"type": "dict", "description": f"{described}.", "options": _options(inner)}
            else:
                merged = _leaf(field.annotation, field.metadata, one_line(field.description))
                found[name] = merged if name not in found else _both(found[name], merged)
    return found


def _leaf(annotation: Any, metadata: list[Any], described: str) -> dict[str, Any]:
    words = type_of(annotation, metadata)
    first = words.replace(",", " ").split()[0]
    leaf: dict[str, Any] = {"type": _TYPES.get(first, "str"), "description": described}
    if leaf["type"] == "list":
        inner = words.removeprefix("list of ").split()[0].rstrip("s")
        leaf["elements"] = _TYPES.get(inner, "str")
    if get_origin(annotation) is Literal:
        leaf["choices"] = list(get_args(annotation))
    return leaf


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Merge the options of two members of a union."""
    merged = dict(one)
    if one["description"] != other["description"]:
        merged["description"] = f"{one['description']} Or: {other['description']}"
    if "choices" in one and "choices" in other:
        merged["choices"] = list(dict.fromkeys([*one["choices"], *other["choices"]]))
    return merged


def main() -> None:
    """Write the files that are out of date."""
    for path, text in contents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
