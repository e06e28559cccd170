"""Access to the hosts: the lab's own key pair, pinned host keys, an Ansible inventory."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from lab.commands import run, succeeds
from lab.machine import give_to_caller
from lab.premises import USER

if TYPE_CHECKING:
    from pathlib import Path

    from lab.premises.addresses import Addresses

_SOCKET_ROOM = 70
"""The longest folder path for ssh's control sockets: the limit is 108 characters in all."""


def inventory_of(folder: Path) -> Path:
    """Return the path of a lab's inventory."""
    return folder / "premises" / "inventory.yml"


def private_key(folder: Path) -> Path:
    """Return the path of the private key for all hosts."""
    return folder / "premises" / "ssh" / "id_ed25519"


def known_hosts(folder: Path) -> Path:
    """Return the path of the pinned host keys."""
    return folder / "premises" / "ssh" / "known_hosts"


def _control_folder(folder: Path) -> Path:
    return folder / "premises" / "ssh" / "control"


def make_keys(folder: Path) -> None:
    """Create the lab's own key pair."""
    private_key(folder).parent.mkdir(parents=True)
    _control_folder(folder).mkdir(mode=0o700)
    make_key(private_key(folder), "lab")


def make_key(path: Path, comment: str) -> None:
    """Create an Ed25519 key pair without a passphrase, at `path` and `path.pub`."""
    for each in (path, path.with_name(f"{path.name}.pub")):
        each.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def ssh_options(folder: Path) -> list[str]:
    """Return the options of `ssh` that refuse a host whose key is not the pinned one."""
    return [
        f'-oUserKnownHostsFile="{known_hosts(folder)}"',  # quoted: ssh splits the value at blanks
        "-oGlobalKnownHostsFile=/dev/null",
        "-oStrictHostKeyChecking=yes",
        "-oIdentitiesOnly=yes",
    ]


def ssh(folder: Path, address: str, command: str, *, timeout_s: float = 30.0) -> str:
    """Run a command on a host as the account for Ansible and return its output. Raises LabError."""
    options = ["-F", "/dev/null", "-i", str(private_key(folder)), "-oBatchMode=yes"]
    return run(["ssh", *options, *ssh_options(folder), f"{USER}@{address}", command], timeout_s=timeout_s)


def write_access(folder: Path, hosts: list[str], addresses: Addresses, host_keys: dict[str, str]) -> None:
    """Write known_hosts and the inventory: the first host trains, the others serve (a single one both)."""
    lines = [f"{addresses.host(name)} {host_keys[name]}\n" for name in hosts]
    _replace(known_hosts(folder), "".join(lines))
    _replace(inventory_of(folder), _inventory(folder, hosts, addresses))
    _hand_over(folder)


def _inventory(folder: Path, hosts: list[str], addresses: Addresses) -> str:
    def group(name: str, members: list[str]) -> str:
        entries = "".join(f"        {each}:\n" for each in members)
        return f"    {name}:\n      hosts:\n{entries}"

    control = _control_folder(folder)
    # Control sockets are in this lab's own folder: the next lab has the same addresses but other keys.
    fits = len(str(control)) <= _SOCKET_ROOM
    shared = (
        f"ansible_control_path_dir: {json.dumps(str(control))}"
        if fits
        else "ansible_ssh_args: -oControlMaster=no"
    )
    return (
        "---\n# Written by make lab; make lab-down removes it.\n"
        "premises:\n  hosts:\n"
        + "".join(f"    {name}:\n      ansible_host: {addresses.host(name)}\n" for name in hosts)
        + "  children:\n"
        + group("training", hosts[:1])
        + group("inference", hosts[1:] or hosts)
        + "  vars:\n"
        f"    ansible_user: {USER}\n"
        "    ansible_python_interpreter: /usr/bin/python3\n"
        f"    ansible_ssh_private_key_file: {json.dumps(str(private_key(folder)))}\n"
        f"    ansible_ssh_common_args: {json.dumps(shlex.join(ssh_options(folder)))}\n"
        f"    {shared}\n"
    )


def hang_up(folder: Path) -> None:
    """Close the connections that Ansible keeps open for its next run."""
    control = _control_folder(folder)
    for socket in control.iterdir() if control.is_dir() else ():
        succeeds(["ssh", "-F", "/dev/null", f'-oControlPath="{socket}"', "-O", "exit", "lab"], timeout_s=5)


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(f"{path.name}.new")
    aside.write_text(text, encoding="utf-8")
    aside.rename(path)


def _hand_over(folder: Path) -> None:
    """Give inventory and keys to the user who called sudo, so that Ansible does not need root."""
    used = private_key(folder).parent
    give_to_caller(used, *used.iterdir(), inventory_of(folder))
