#!/usr/bin/python
"""Ansible module: everything that the roles need to know about a host, in one call; changes nothing."""

from __future__ import annotations

import base64
import grp
import os
import platform
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.gpu_devices import gpus_of, nvidia_devices

DOCUMENTATION = r"""
module: premises_look
short_description: Inspect a host and the deployment's folder
description:
  - Runs once per host and run; the action plugin of the same name returns the cached result afterwards, and
    fails if a host has become unreachable.
options:
  root: {type: str, default: "", description: [The folder, absolute or from C(~/); empty for the default.]}
  manager:
    type: str
    default: auto
    choices: [auto, system, systemd, supervisor]
    description: [The service manager; see the role C(premises).]
  becomes_root: {type: bool, default: false, description: [Whether the play becomes root.]}
  service_user: {type: str, default: scenario, description: [User that services run as under V(system).]}
  mark: {type: str, required: true, description: [The file that marks a folder as ours.]}
  owner: {type: str, default: "", description: [The requesting stack; empty for an operator, who is not restricted.]}
  adopt: {type: bool, default: false, description: [Take over a folder that belongs to another stack.]}
  records: {type: list, elements: str, default: [], description: [Small files in the folder to read.]}
  paths: {type: list, elements: str, default: [], description: [Paths to look for.]}
  remote_tmp: {type: str, default: "~/.ansible/tmp", description: [Where Ansible puts what it brings.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
python: {type: dict, returned: success, description: [C(executable) and C(version), as in C(3.11).]}
manager: {type: str, returned: success, description: [V(system), V(systemd) or V(supervisor).]}
root: {type: str, returned: success, description: [The folder, absolute.]}
there: {type: dict, returned: success, description: [Its contents, two levels deep; folders with mode, owner, group.]}
current: {type: str, returned: success, description: [Target of C(runtime/current); empty if missing.]}
complete: {type: list, elements: str, returned: success, description: [Complete environments and models.]}
records: {type: dict, returned: success, description: [Contents of existing O(records), base64.]}
paths: {type: dict, returned: success, description: [For each of O(paths) whether it exists.]}
programs: {type: dict, returned: success, description: [Paths of C(haproxy) and C(uv); empty if missing.]}
arrivals: {type: dict, returned: success, description: [C(path) of O(remote_tmp), and C(megabytes) free there.]}
megabytes: {type: int, returned: success, description: [Free space for the folder.]}
system: {type: str, returned: success, description: [Code name of the system's release, as C(bookworm); may be empty.]}
nvidia: {type: bool, returned: success, description: ['Whether there is an NVIDIA GPU, with or without a driver.']}
machine: {type: str, returned: success, description: [The processor's architecture.]}
user_there: {type: bool, returned: success, description: [Whether the account O(service_user) exists.]}
"""

_OPTIONS: dict[str, Any] = {
    "root": {"type": "str", "default": ""},
    "manager": {"type": "str", "default": "auto", "choices": ["auto", "system", "systemd", "supervisor"]},
    "becomes_root": {"type": "bool", "default": False},
    "service_user": {"type": "str", "default": "scenario"},
    "mark": {"type": "str", "required": True},
    "owner": {"type": "str", "default": ""},
    "adopt": {"type": "bool", "default": False},
    "records": {"type": "list", "elements": "str", "default": []},
    "paths": {"type": "list", "elements": "str", "default": []},
    "remote_tmp": {"type": "str", "default": "~/.ansible/tmp"},
}
_OLDEST = (3, 11)
_FOLDER = "model-deployment-scenarios"
_OWNER = "owner: "
_INTERPRETER = "runtime/python"
_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Folders of system programs, which are not on every user's PATH."""


def manager(wanted: str, *, becomes_root: bool) -> str:
    """Choose the service manager: the requested one, or the best available."""
    if wanted != "auto":
        return wanted
    if becomes_root and Path("/run/systemd/system").is_dir():  # see sd_booted(3)
        return "system"
    return "systemd" if _has_user_manager() else "supervisor"


def _has_user_manager() -> bool:
    environment = {**os.environ, "XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}"}
    command = ["systemctl", "--user", "show-environment"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0


def root_folder(wanted: str, chosen: str) -> Path:
    """Return the deployment's folder. Raises ValueError if it is not an absolute path."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    usual = f"/var/lib/{_FOLDER}" if chosen == "system" else f"{home}/.local/share/{_FOLDER}"
    text = f"{home}/{wanted[2:]}" if wanted.startswith("~/") else wanted or usual
    if not text.startswith("/") or not text.strip("/"):
        raise ValueError(f"scenario_root is {wanted}; it must be an absolute path, or start with ~/")
    return Path(text)


def owner_of(mark: Path) -> str:
    """Return the stack that owns a folder; empty if there is none."""
    lines = mark.read_text(encoding="utf-8").splitlines() if mark.is_file() else []
    return next((line.removeprefix(_OWNER) for line in lines if line.startswith(_OWNER)), "")


def refuse_other_owner(root: Path, found: str, options: dict[str, Any]) -> None:
    """Raise ValueError if the folder belongs to a stack other than the requesting one."""
    asking = options["owner"]
    if not asking or found in {"", asking} or options["adopt"]:
        return
    same = found.partition("@")[0] == asking.partition("@")[0]
    whose = f"{found.partition('@')[0]} of another state" if same else found.partition("@")[0]
    raise ValueError(
        f"{root} belongs to the stack {whose}; remove that one first, give this one its own folder "
        "(premises:root) and other ports, or take it over with premises:adopt: true"
    )


def interpreter(root: Path) -> dict[str, str]:
    """Return the interpreter that runtimes are made with: the one recorded by the first run, unless it is gone.

    Otherwise another Python on the host would rename the runtime, and so build it again.
    """
    own = {"executable": sys.executable, "version": ".".join(map(str, sys.version_info[:2]))}
    record = root / _INTERPRETER
    kept = record.read_text(encoding="utf-8").strip() if record.is_file() else ""
    if not kept or kept == sys.executable:
        return own
    command = [kept, "-c", "import sys; print('.'.join(map(str, sys.version_info[:2])))"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return own
    return {"executable": kept, "version": done.stdout.strip()}


def contents(root: Path) -> dict[str, list[str]]:
    """List the folder's contents, two levels deep: folders with mode, owner and group, the rest without."""
    found = {}
    for entry in (*root.glob("*"), *root.glob("*/*")) if root.is_dir() else ():
        try:
            told = entry.lstat()
        except FileNotFoundError:  # caches of a running server come and go
            continue
        attributes = [f"{stat.S_IMODE(told.st_mode):04o}", _name(pwd.getpwuid, told.st_uid)]
        attributes.append(_name(grp.getgrgid, told.st_gid))
        found[str(entry.relative_to(root))] = attributes if stat.S_ISDIR(told.st_mode) else []
    return found


def _name(look_up: Any, number: int) -> str:
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)


def complete(root: Path) -> list[str]:
    """List complete environments and foundation models, relative to the folder."""
    marks = ("runtime/*/complete", "runtime/vllm/*/complete", "foundation/*/*/foundation.json")
    found = {mark.parent for each in marks for mark in root.glob(each)}
    return sorted(str(folder.relative_to(root)) for folder in found if not folder.is_symlink())


def room(folder: Path) -> int:
    """Return the free megabytes at the folder's present or future location."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free // 2**20


def arrivals(remote_tmp: str) -> dict[str, Any]:
    """Return where Ansible puts what it brings, and the free megabytes there; `~` is of the connecting account."""
    name = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    path = Path(
        remote_tmp.replace("~", pwd.getpwnam(name).pw_dir, 1) if remote_tmp[:1] == "~" else remote_tmp
    )
    return {"path": str(path), "megabytes": room(path)}


def system_release() -> str:
    """Return the code name of the system's release; empty if it has none."""
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        return ""


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def look(options: dict[str, Any], root: Path, chosen: str) -> dict[str, Any]:
    """Inspect the host. Raises OSError if the folder cannot be read."""
    link = root / "runtime" / "current"
    reads = {name: root / name for name in options["records"]}
    search = f"{os.environ.get('PATH', os.defpath)}:{_PROGRAMS}"
    return {
        "manager": chosen,
        "root": str(root),
        "there": contents(root),
        "current": os.path.normpath(link.parent / link.readlink()) if link.is_symlink() else "",
        "complete": complete(root),
        "records": {n: base64.b64encode(f.read_bytes()).decode() for n, f in reads.items() if f.is_file()},
        "paths": {path: Path(path).exists() for path in options["paths"]},
        "programs": {name: shutil.which(name, path=search) or "" for name in ("haproxy", "uv")},
        "megabytes": room(root),
        "arrivals": arrivals(options["remote_tmp"]),
        "system": system_release(),
        "nvidia": bool(gpus_of(nvidia_devices(Path("/")))) or Path("/dev/nvidiactl").exists(),
        "machine": platform.machine(),
        "user_there": _has_user(options["service_user"]),
    }


def main() -> None:
    """Inspect the host and return the result."""
    module = AnsibleModule(argument_spec=_OPTIONS, supports_check_mode=True)
    if sys.version_info < _OLDEST:
        module.fail_json(
            msg=f"the host has Python {sys.version.split()[0]} ({sys.executable}); install Python 3.11 or newer, "
            "or set ansible_python_interpreter to one"
        )
    options: dict[str, Any] = module.params
    chosen = manager(options["manager"], becomes_root=options["becomes_root"])
    try:
        root = root_folder(options["root"], chosen)
        seen = look(options, root, chosen)
        python = interpreter(root)
        if seen["there"] and options["mark"] not in seen["there"]:
            raise ValueError(
                f"scenario_root {root} is not empty and was not created by this program; choose another"
            )
        refuse_other_owner(root, owner_of(root / options["mark"]), options)
    except OSError as error:
        module.fail_json(msg=f"cannot read {error.filename}: {error.strerror}")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, python=python, **seen)


if __name__ == "__main__":
    main()
