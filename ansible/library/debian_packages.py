#!/usr/bin/python
"""Ansible module: install Debian packages from a folder or from apt's sources, and remove them again."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: debian_packages
short_description: Install and record missing packages, and remove only these
description:
  - Installs only packages that are missing, without recommended ones and without prompts.
  - With O(folder), apt sees only that folder and no network is used.
options:
  names:
    type: list
    elements: str
    default: []
    description: [Package names; C(name=version) selects a version, in which C(*) is a wildcard.]
  folder: {type: path, description: [A folder of .deb files on the host; default is apt's own sources.]}
  record: {type: path, required: true, description: [File that records what this module installed.]}
  state:
    type: str
    default: present
    choices: [present, absent, missing]
    description: [Whether to install, to remove what was installed this way, or only to list what is missing.]
author: [model-deployment-scenarios]
"""
RETURN = r"""
missing: {type: list, elements: str, returned: always, description: [Packages that were missing.]}
kept: {type: list, elements: str, returned: always, description: [Packages kept because others depend on them.]}
"""

_APT = ["apt-get", "--yes", "--quiet", "--no-install-recommends", "--option=Dpkg::Options::=--force-confold"]
# At boot and at night, the system's own updates hold dpkg's lock for minutes.
_APT += ["--option=DPkg::Lock::Timeout=600"]
# A host without network access should fail quickly.
_APT += ["--option=Acquire::Retries=0", "--option=Acquire::http::Timeout=15"]
_QUIETLY = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}


class PackageError(Exception):
    """A failed operation; the message is one line."""


def index(folder: Path) -> str:
    """Describe a folder of packages in the format of a repository's Packages file.

    Raises PackageError if there is none, or if a file is not a package.
    """
    entries = []
    for path in sorted(folder.glob("*.deb")):
        command = ["dpkg-deb", "--field", str(path)]
        told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if told.returncode:
            raise PackageError(
                f"{path.name} in packages_folder is not a Debian package: {told.stderr.strip()}"
            )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entries.append(
            f"{told.stdout.strip()}\nFilename: ./{path.name}\nSize: {path.stat().st_size}\nSHA256: {digest}\n"
        )
    if not entries:
        raise PackageError(
            "packages_folder contains no .deb file; create a bundle, or leave packages_folder empty"
        )
    return "\n".join(entries)


def missing(wanted: list[str], installed: dict[str, str]) -> list[str]:
    """Return the wanted packages that are not installed, or not at the requested version."""

    def there(each: str) -> bool:
        name, _, version = each.partition("=")
        return name in installed and fnmatch.fnmatchcase(installed[name], version or "*")

    return [each for each in wanted if not there(each)]


class Packages:
    """The packages of this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._record = Path(module.params["record"])

    def installed(self) -> dict[str, str]:
        """Return every installed package and its version."""
        form = "${Package} ${Version} ${db:Status-Abbrev}\n"
        _, told, _ = self._module.run_command(["dpkg-query", "--show", f"--showformat={form}"], check_rc=True)
        fields = [line.split() for line in told.splitlines()]
        return {each[0]: each[1] for each in fields if len(each) == 3 and each[2].endswith("i")}

    @staticmethod
    def _install_command(names: list[str]) -> list[str]:
        # An explicit version also applies to a package that is held or newer.
        pinned = any("=" in each for each in names)
        return [
            "install",
            *(["--allow-change-held-packages", "--allow-downgrades"] if pinned else []),
            *names,
        ]

    def install(self, names: list[str], folder: str | None) -> None:
        """Install packages and record what was added. Raises PackageError with apt's message."""
        before, command = self._all(), self._install_command(names)
        try:
            if folder:
                self._install_from(Path(folder), command)
            elif self._apt(*command)[0]:
                self._apt("update")
                code, said = self._apt(*command)
                if code:
                    raise PackageError(_reason(said))
        finally:
            # Record even what was installed before apt failed, so that it can be removed.
            came = {kind: sorted(now - before[kind]) for kind, now in self._all().items()}
            if any(came.values()):
                self._note({kind: sorted({*came[kind], *self.noted()[kind]}) for kind in came})

    def _all(self) -> dict[str, set[str]]:
        """Return everything that an installation may add: packages, and accounts created by their scripts."""
        accounts = {"users": Path("/etc/passwd"), "groups": Path("/etc/group")}
        found = {
            kind: {line.partition(":")[0] for line in path.read_text(encoding="utf-8").splitlines()}
            for kind, path in accounts.items()
        }
        return {"packages": set(self.installed()), **found}

    def _install_from(self, folder: Path, command: list[str]) -> None:
        with tempfile.TemporaryDirectory() as own:
            Path(own).chmod(0o755)  # apt reads as its own user
            (Path(own) / "lists" / "partial").mkdir(parents=True)
            (folder / "Packages").write_text(index(folder), encoding="utf-8")
            (Path(own) / "sources.list").write_text(f"deb [trusted=yes] file:{folder} ./\n")
            alone = [
                f"--option=Dir::Etc::SourceList={own}/sources.list",
                "--option=Dir::Etc::SourceParts=-",
                f"--option=Dir::State::Lists={own}/lists",
                "--option=APT::Sandbox::User=root",
            ]
            for arguments in (["update"], command):
                code, said = self._apt(*alone, *arguments)
                if code:
                    raise PackageError(_reason(said))

    def noted(self) -> dict[str, list[str]]:
        """Return what this module recorded as installed, by kind."""
        nothing: dict[str, list[str]] = {"packages": [], "users": [], "groups": []}
        return json.loads(self._record.read_text(encoding="utf-8")) if self._record.exists() else nothing

    def remove(self) -> list[str]:
        """Purge what is recorded; if other packages depend on any of it, remove nothing and return all of it."""
        noted, there = self.noted(), self._all()
        names = [name for name in noted["packages"] if name in there["packages"]]
        if names:
            _, said = self._apt("--simulate", "purge", *names)
            words = [line.split() for line in said.splitlines()]
            if {each[1] for each in words if each[:1] in (["Purg"], ["Remv"])} - set(names):
                return names
            code, said = self._apt("purge", *names)
            if code:
                raise PackageError(_reason(said))
        # Debian's packages leave their accounts in place.
        for kind, command in (("users", "userdel"), ("groups", "groupdel")):
            for name in self._all()[kind] & set(noted[kind]):
                self._module.run_command([command, name], check_rc=True)
        return []

    def forget(self) -> None:
        """Remove the record, and its folders if they are empty then."""
        self._record.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._record.parent.rmdir()
            self._record.parent.parent.rmdir()

    def _note(self, came: dict[str, list[str]]) -> None:
        self._record.parent.mkdir(parents=True, exist_ok=True)
        self._record.write_text(json.dumps(came), encoding="utf-8")

    def _apt(self, *arguments: str) -> tuple[int, str]:
        code, out, err = self._module.run_command([*_APT, *arguments], environ_update=_QUIETLY)
        return int(code), f"{out}\n{err}"


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("E:")] or lines[-1:]
    unmet = [line for line in lines if "Depends:" in line and "but" in line]
    return "; ".join([*unmet, *told])


def main() -> None:
    """Check, install or remove, and return the result."""
    options: dict[str, Any] = {
        "names": {"type": "list", "elements": "str", "default": []},
        "folder": {"type": "path"},
        "record": {"type": "path", "required": True},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent", "missing"]},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    packages = Packages(module)
    kept: list[str] = []
    absent = missing(module.params["names"], packages.installed())
    state: str = module.params["state"]
    try:
        if state == "absent":
            changed = any(packages.noted().values())
            if changed and not module.check_mode:
                kept = packages.remove()
                packages.forget()
        else:
            changed = state == "present" and bool(absent)
            if changed and not module.check_mode:
                packages.install(absent, module.params["folder"])
    except PackageError as error:
        if "Could not get lock" in str(error):
            module.fail_json(
                msg=f"cannot install {', '.join(absent)}: another program has been installing packages for ten "
                f"minutes: {error}; run this again when it is done"
            )
        source = "from packages_folder" if module.params["folder"] else "from apt's sources"
        module.fail_json(
            msg=f"cannot install {', '.join(absent)} {source}: {error}; set packages_folder to a folder with "
            "these packages and their dependencies, or configure a reachable mirror in /etc/apt"
        )
    module.exit_json(changed=changed, missing=absent, kept=kept)


if __name__ == "__main__":
    main()
