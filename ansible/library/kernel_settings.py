#!/usr/bin/python
"""Ansible module: kernel settings (sysctl), now and at boot; removed settings return to their previous values."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: kernel_settings
short_description: Kernel settings, now and at boot
description:
  - Detects manual changes. A setting that is no longer listed returns to its previous value.
options:
  values: {type: dict, default: {}, description: [Names in sysctl notation, and values.]}
  file: {type: path, required: true, description: [File in C(/etc/sysctl.d), read at boot.]}
  record: {type: path, required: true, description: [File that records previous values.]}
  root: {type: path, default: /, description: [Parent folder of C(proc/sys); for tests.]}
author: [model-deployment-scenarios]
"""
RETURN = r""" # """


class Settings:
    """The kernel's settings, as files below proc/sys."""

    def __init__(self, root: str) -> None:
        self._folder = Path(root) / "proc" / "sys"

    def _path(self, name: str) -> Path:
        # Like sysctl, swap dots and slashes, for interfaces with dots in their names.
        return self._folder / name.translate(str.maketrans("./", "/."))

    def value(self, name: str) -> str | None:
        """Return a setting with single blanks, or None if this kernel has no such setting."""
        try:
            return " ".join(self._path(name).read_text(encoding="ascii").split())
        except OSError:
            return None

    def set(self, name: str, value: str) -> str | None:
        """Set it; return the error, if any."""
        try:
            self._path(name).write_text(f"{value}\n", encoding="ascii")
        except OSError as error:
            return f"{name} cannot be set to {value}: {error.strerror}"
        return None


def file_text(wanted: dict[str, str]) -> str:
    """Return the text for /etc/sysctl.d; empty if there is nothing to set."""
    lines = [f"{name} = {value}\n" for name, value in sorted(wanted.items())]
    return "".join(["# Written by Ansible; changes are overwritten.\n", *lines]) if wanted else ""


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _write(path: Path, text: str) -> None:
    """Write a file, or remove it if there is nothing to write."""
    if text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
    else:
        path.unlink(missing_ok=True)


def main() -> None:
    """Compare, set, record and return the result."""
    options: dict[str, Any] = {
        "values": {"type": "dict", "default": {}},
        "file": {"type": "path", "required": True},
        "record": {"type": "path", "required": True},
        "root": {"type": "path", "default": "/"},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    file, record = Path(module.params["file"]), Path(module.params["record"])
    settings = Settings(module.params["root"])
    wanted = {name: " ".join(str(value).split()) for name, value in module.params["values"].items()}
    if unknown := [name for name in wanted if settings.value(name) is None]:
        module.fail_json(msg=f"base_sysctl: this kernel has no setting {', '.join(unknown)}")
    former: dict[str, str] = json.loads(_read(record) or "{}")
    dropped = {name: value for name, value in former.items() if name not in wanted}
    differing = {k: v for k, v in {**dropped, **wanted}.items() if settings.value(k) != v}
    now = {name: str(settings.value(name)) for name in differing}
    text = file_text(wanted)
    changed = bool(differing or dropped) or _read(file) != text
    if changed and not module.check_mode:
        kept = {name: former.get(name, str(settings.value(name))) for name in wanted}
        _write(record, json.dumps(kept) if kept else "")  # first, so that a killed run can still be undone
        for name, value in differing.items():
            if wrong := settings.set(name, value):
                module.fail_json(msg=f"base_sysctl: {wrong}")
        _write(file, text)
        with contextlib.suppress(OSError):
            record.parent.rmdir()
    difference = [{"before": file_text(now), "after": file_text(differing), "before_header": "kernel"}]
    difference.append({"before": _read(file), "after": text, "before_header": str(file)})
    module.exit_json(changed=changed, diff=difference if module.check_mode else {})


if __name__ == "__main__":
    main()
