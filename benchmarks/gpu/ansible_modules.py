"""Ansible modules of this repository, run without Ansible: a GPU machine need not have it.

`ansible.module_utils.basic` is replaced by the few methods that our modules call; our own module_utils are
found where Ansible finds them, so a module's code is the one that runs on hosts.
"""

from __future__ import annotations

import importlib.util
import sys
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from benchmarks.gpu.context import ANSIBLE, first_line
from benchmarks.gpu.machine import command

if TYPE_CHECKING:
    from collections.abc import Iterator


class _AnswerError(Exception):
    """Carries a module's answer out of its `main`."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__("answered")
        self.answer = answer


class _Module:
    """What stands for `AnsibleModule`: options with their defaults, and the ways to answer."""

    check_mode = False

    def __init__(self, given: dict[str, Any], *, argument_spec: dict[str, Any], **_: Any) -> None:
        self.params = {name: given.get(name, spec.get("default")) for name, spec in argument_spec.items()}
        self._warnings: list[str] = []
        missing = [name for name, spec in argument_spec.items() if spec.get("required") and name not in given]
        unknown = [name for name in given if name not in argument_spec]
        if missing or unknown:
            self.fail_json(msg=f"missing options: {missing}; unknown options: {unknown}")

    def exit_json(self, **answer: Any) -> NoReturn:
        raise _AnswerError(answer)

    def fail_json(self, *, msg: str, **answer: Any) -> NoReturn:
        raise _AnswerError({"failed": True, "msg": msg, **answer})

    def warn(self, text: str) -> None:
        self._warnings.append(text)

    def run_command(self, argv: list[str], **_: Any) -> tuple[int, str, str]:
        code, out, errors = command(*argv)
        return (257 if code is None else code), out, errors


def run_module(name: str, **options: Any) -> dict[str, Any]:
    """Run `ansible/library/<name>.py` with these options; returns its answer.

    An answer with `failed` and `msg` stands for a refusal, for options that do not fit, and for an exception.
    """
    spec = importlib.util.spec_from_file_location(f"_{name}", ANSIBLE / "library" / f"{name}.py")
    if spec is None or spec.loader is None:
        return {"failed": True, "msg": f"cannot load module {name}"}
    module = importlib.util.module_from_spec(spec)
    try:
        with _stand_in(options):
            spec.loader.exec_module(module)
            module.main()
    except _AnswerError as answered:
        return answered.answer
    except Exception as error:  # noqa: BLE001 - recorded, as Ansible would
        return {"failed": True, "msg": first_line(error)}
    return {"failed": True, "msg": f"module {name} ended without an answer"}


@contextmanager
def _stand_in(options: dict[str, Any]) -> Iterator[None]:
    """Put the stand-in where modules import Ansible, and whatever was there back afterwards."""
    before = {name: sys.modules.pop(name) for name in [*sys.modules] if name.split(".")[0] == "ansible"}
    package, utils, basic = (
        ModuleType(name) for name in ("ansible", "ansible.module_utils", "ansible.module_utils.basic")
    )
    package.__path__, utils.__path__ = [], [str(ANSIBLE / "module_utils")]
    vars(basic)["AnsibleModule"] = partial(_Module, options)
    sys.modules |= {each.__name__: each for each in (package, utils, basic)}
    try:
        yield
    finally:
        for name in [each for each in sys.modules if each.split(".")[0] == "ansible"]:
            del sys.modules[name]
        sys.modules |= before
