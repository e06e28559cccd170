"""A root of apt's own in a folder: an index of packages that need not exist, and what apt would install of them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Package:
    """A stanza of an index. `depends` may name the version as V; `source` is the source package if its name differs."""

    name: str
    version: str
    depends: str = ""
    source: str = ""

    def stanza(self) -> str:
        fields = {"Package": self.name, "Version": self.version, "Architecture": "amd64"}
        fields |= {"Maintainer": "t <t@example.com>", "Description": "made up for a test"}
        fields |= {"Filename": f"./{self.name}_{self.version}.deb", "Size": "1", "SHA256": "0" * 64}
        fields |= {"Source": self.source} if self.source else {}
        fields |= {"Depends": re.sub(r"\bV\b", self.version, self.depends)} if self.depends else {}
        return "".join(f"{key}: {value}\n" for key, value in fields.items())


class AptRoot:
    """apt with one repository, preferences, and a list of what is installed; it never installs anything."""

    def __init__(
        self, folder: Path, offered: list[Package], *, installed: list[Package], preferences: str
    ) -> None:
        self._folder = folder
        for name in (
            "etc/apt/preferences.d",
            "etc/apt/apt.conf.d",
            "var/lib/apt/lists/partial",
            "var/lib/dpkg",
            "repo",
        ):
            (folder / name).mkdir(parents=True)
        (folder / "repo/Packages").write_text("\n".join(each.stanza() for each in offered))
        (folder / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{folder}/repo ./\n")
        (folder / "etc/apt/preferences.d/scenario-gpu").write_text(preferences)
        there = [each.stanza() + "Status: install ok installed\n" for each in installed]
        (folder / "var/lib/dpkg/status").write_text("\n".join(there))
        code, said = self._run("update")
        assert code == 0, said

    def install(self, *arguments: str) -> dict[str, str] | str:
        """The packages that `apt-get install` would install and their versions, or why it would not."""
        code, said = self._run("--simulate", "--no-install-recommends", "install", *arguments)
        return (
            dict(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", said, re.MULTILINE)) if code == 0 else said
        )

    def upgrade(self) -> dict[str, str] | str:
        """The same of `apt-get dist-upgrade`."""
        code, said = self._run("--simulate", "dist-upgrade")
        return (
            dict(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", said, re.MULTILINE)) if code == 0 else said
        )

    def _run(self, *arguments: str) -> tuple[int, str]:
        options = [f"Dir={self._folder}", f"Dir::State::status={self._folder}/var/lib/dpkg/status"]
        options += ["APT::Architecture=amd64", "APT::Architectures::=amd64", "APT::Sandbox::User=root"]
        command = [
            "apt-get",
            "--yes",
            "--quiet",
            *(word for option in options for word in ("--option", option)),
        ]
        done = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        )
        return done.returncode, done.stdout + done.stderr
