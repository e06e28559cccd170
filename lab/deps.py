"""`make lab-deps`: install the Debian packages that the lab needs. Nothing else in the lab installs any."""

from __future__ import annotations

import os
import subprocess
import sys

from engine.console import say
from lab.machine import PACKAGES


def main() -> None:
    """Install by apt what is missing; the user sees apt's own output."""
    asked = subprocess.run(  # noqa: S603
        ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *PACKAGES],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    there = {line.split()[0] for line in asked.stdout.splitlines() if line.endswith(" installed")}
    missing = [package for package in PACKAGES if package not in there]
    if not missing:
        say("make lab-deps: everything is installed")
        return
    if os.geteuid() != 0:
        sys.exit(f"make lab-deps: installing {', '.join(missing)} needs root; sudo make lab-deps")
    say(f"installing {', '.join(missing)}: well under a minute")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        if subprocess.run(["apt-get", *command], env=environment, check=False).returncode:  # noqa: S603, S607
            sys.exit(f"make lab-deps: `apt-get {command[0]}` failed; the reason is above")
    say("make lab-deps: done")


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError as error:
        sys.exit(
            f"make lab-deps: {error.filename} is not here; install {', '.join(PACKAGES)} in your own way"
        )
    except KeyboardInterrupt:
        sys.exit("make lab-deps: interrupted; run it again")
