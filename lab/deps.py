"""`make lab-deps`: install what the lab needs on this machine. Nothing else in the lab changes the machine.

That is Debian packages, and a higher limit of inotify instances: each host that boots systemd needs about ten
of root's default 128.
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
    """Raise the limit; install missing packages with apt, showing its output."""
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
        say("make lab-deps: nothing to do")
        return
    if os.geteuid() != 0:
        sys.exit(
            "make lab-deps: needs root to install packages and set a kernel limit; run sudo make lab-deps"
        )
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
            sys.exit(f"make lab-deps: `apt-get {command[0]}` failed; see its output above")


def _command() -> None:
    try:
        main()
    except FileNotFoundError as error:
        sys.exit(f"make lab-deps: {error.filename} not found; install {', '.join(PACKAGES)} yourself")
    except KeyboardInterrupt:
        sys.exit("make lab-deps: interrupted; run it again")


if __name__ == "__main__":
    run(_command)
