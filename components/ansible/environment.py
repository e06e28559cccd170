"""The environment in which this project starts Ansible."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

_VAULT_PASSWORD_FILE = "ANSIBLE_VAULT_PASSWORD_FILE"  # noqa: S105 - a variable's name


def ansible_program(name: str) -> str:
    """Return a program of Ansible's as a user can call it from the project's folder, in any shell."""
    program = Path(sys.executable).with_name(name)
    return shlex.quote(
        str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)
    )


def ansible_environment(playbooks: Path) -> dict[str, str]:
    """Return the environment for the playbooks of a folder: this Python first, no hub, no secrets of the engine."""
    kept = {"PULUMI_HOME"}  # not a secret; identifies the process's owner
    ours = {
        name: value for name, value in os.environ.items() if name in kept or not name.startswith("PULUMI_")
    }
    if file := ours.get(_VAULT_PASSWORD_FILE):
        # Ansible starts in the folder of the playbooks, and the user's path is below the project.
        ours[_VAULT_PASSWORD_FILE] = str(Path(file).expanduser().absolute())
    if ours.get("LC_ALL") in {"C", "POSIX"}:
        ours["LC_ALL"] = "C.UTF-8"  # Ansible refuses to start with any other encoding
    return ours | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "ANSIBLE_CONFIG": str(playbooks.absolute() / "ansible.cfg"),
        # Otherwise hosts of a file that cannot be parsed are missing, with no more than a warning.
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        # ansible-runner would switch this off.
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_NOCOLOR": "True",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
    }
