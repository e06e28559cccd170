"""`make lab`: bring both sides of the lab up, or change the number of its hosts."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import time
from typing import TYPE_CHECKING

from bootstrap.console import duration, run, say
from lab import LabError, lab_cache, lock, state_folder
from lab.compose import Lab, bring_up
from lab.machine import give_to_caller, require
from lab.premises.record import load

if TYPE_CHECKING:
    from lab.kubernetes.kubectl import Kubectl

_SPECIAL = ":,\\\"'%"
"""Characters with a special meaning in the options of overlayfs and ssh."""


def up(hosts: int | None) -> None:
    """Bring both up and print how to reach them."""
    folder, begun = state_folder(), time.monotonic()
    require()
    for path, remedy in ((folder, "LAB_STATE"), (lab_cache(), "XDG_CACHE_HOME")):
        if set(str(path)) & set(_SPECIAL):
            raise LabError(
                f"invalid path {path}: it must not contain {' '.join(_SPECIAL)}", remedy=f"set {remedy}"
            )
    if not folder.parent.exists():  # other stacks' state is there too, and does not need root
        folder.parent.mkdir(parents=True)
        give_to_caller(folder.parent)
    with lock.exclusive(folder):
        before = load(folder)
        if before is None:
            say("bringing the lab up: about a minute; half an hour the first time, to build its programs")
        lab = bring_up(folder, hosts)
    _tell(lab, duration(time.monotonic() - begun))


def _tell(lab: Lab, took: str) -> None:
    premises = lab.premises
    names = ", ".join(f"{host.name} ({host.address})" for host in premises.hosts)
    say(f"the lab is up: {names}; {took}")
    say(f"  outside the premises: {premises.addresses.outside} (python3 -m lab.wan --help)")
    say(f"  .venv/bin/ansible -i {shlex.quote(str(premises.inventory))} premises -m ping")
    if lab.cluster:
        _tell_kubectl(lab.cluster.kubectl, premises.addresses.cloud if lab.cluster.own else "")
    if lab.aws:
        say(f"  export AWS_ENDPOINT_URL={lab.aws.endpoint} (a moto server: python3 -m lab.aws.env)")
    say("make lab-down removes it")


def _tell_kubectl(kubectl: Kubectl, address: str) -> None:
    if address:
        say(f"  the cloud's address for the premises: {address}")
    path = "" if shutil.which("kubectl") else f" PATH=$PATH:{shlex.quote(str(kubectl.program.parent))}"
    say(f"  export KUBECONFIG={shlex.quote(str(kubectl.kubeconfig))}{path}; kubectl get nodes")


def main() -> None:
    """`python3 -m lab.up [--hosts N]`."""
    parser = argparse.ArgumentParser(prog="make lab", description=__doc__)
    parser.add_argument("--hosts", type=int, help="number of hosts (default: unchanged, or 2)")
    try:
        up(parser.parse_args().hosts)
    except LabError as error:
        sys.exit(f"make lab: {error}")
    except KeyboardInterrupt:
        sys.exit("make lab: interrupted; run it again, or make lab-down to remove it")


if __name__ == "__main__":
    run(main)
