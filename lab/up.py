"""`make lab`: bring the lab up, or change the number of its hosts."""

from __future__ import annotations

import argparse
import shlex
import sys
import time

from engine.console import duration, say
from lab import LabError, lab_cache, lock, state_folder
from lab.aws import lifecycle as aws
from lab.machine import give_to_caller, require
from lab.premises.lifecycle import bring_up
from lab.premises.record import load

_SPECIAL = ":,\\\"'%"
"""What means something else in the options of overlayfs and ssh."""


def up(hosts: int | None) -> None:
    """Bring the premises up and say how they are reached."""
    folder, begun = state_folder(), time.monotonic()
    require()
    for path, remedy in ((folder, "LAB_STATE"), (lab_cache(), "XDG_CACHE_HOME")):
        if set(str(path)) & set(_SPECIAL):
            raise LabError(f"{path}: a path with {' '.join(_SPECIAL)} will not do", remedy=f"set {remedy}")
    if not folder.parent.exists():  # the other stacks' state comes to lie there too, and needs no root
        folder.parent.mkdir(parents=True)
        give_to_caller(folder.parent)
    with lock.exclusive(folder):
        before = load(folder)
        if before is None:
            say("bringing the lab up: seconds, and about two minutes more for the first time")
        premises = bring_up(folder, hosts)
        api = aws.bring_up(folder)
    names = ", ".join(f"{host.name} ({host.address})" for host in premises.hosts)
    say(f"the lab is up: {names}; {duration(time.monotonic() - begun)}")
    say(f"  outside of the premises: {premises.addresses.outside} (python3 -m lab.wan --help)")
    say(f"  ansible -i {shlex.quote(str(premises.inventory))} premises -m ping")
    say(f"  export AWS_ENDPOINT_URL={api.endpoint} (a moto server: python3 -m lab.aws.env)")
    say("make lab-down removes it")


def main() -> None:
    """`python3 -m lab.up [--hosts N]`."""
    parser = argparse.ArgumentParser(prog="make lab", description=__doc__)
    parser.add_argument("--hosts", type=int, help="how many hosts (default: as many as are up, or 2)")
    try:
        up(parser.parse_args().hosts)
    except LabError as error:
        sys.exit(f"make lab: {error}")
    except KeyboardInterrupt:
        sys.exit("make lab: interrupted; run it again, or make lab-down to remove what is there")


if __name__ == "__main__":
    main()
