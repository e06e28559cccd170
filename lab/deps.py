"""`make lab-deps`: what the lab needs of this machine. Nothing else in the lab installs or sets anything.

That is Debian packages, and enough of the kernel's inotify instances: each host that boots systemd takes some
ten of the 128 that root usually has.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bootstrap.console import run, say
from lab.machine import PACKAGES

_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INSTANCES = 1024


def main() -> None:
    """Raise the limit; install by apt what is missing, whose own output the user sees."""
    asked = subprocess.run(  # noqa: S603
        ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *PACKAGES],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    there = {line.split()[0] for line in asked.stdout.splitlines() if line.endswith(" installed")}
    missing = [package for package in PACKAGES if package not in there]
    enough = int(_INOTIFY.read_text(encoding="ascii")) >= _INSTANCES
    if not missing and enough:
        say("make lab-deps: everything is there")
        return
    if os.geteuid() != 0:
        sys.exit("make lab-deps: it installs packages and sets a limit of the kernel; sudo make lab-deps")
    if not enough:
        say(f"setting fs.inotify.max_user_instances to {_INSTANCES}, until the next boot")
        _INOTIFY.write_text(str(_INSTANCES), encoding="ascii")
    if missing:
        _install(missing)
    say("make lab-deps: done")


def _install(missing: list[str]) -> None:
    say(f"installing {', '.join(missing)}: well under a minute")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        if subprocess.run(["apt-get", *command], env=environment, check=False).returncode:  # noqa: S603, S607
            sys.exit(f"make lab-deps: `apt-get {command[0]}` failed; the reason is above")


def _command() -> None:
    try:
        main()
    except FileNotFoundError as error:
        sys.exit(
            f"make lab-deps: {error.filename} is not here; install {', '.join(PACKAGES)} in your own way"
        )
    except KeyboardInterrupt:
        sys.exit("make lab-deps: interrupted; run it again")


if __name__ == "__main__":
    run(_command)
