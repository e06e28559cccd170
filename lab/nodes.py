"""`python3 -m lab.nodes 1000`: set the number of fake GPU nodes in the lab's cluster."""

from __future__ import annotations

import argparse
import sys
import time

from bootstrap.console import duration, run, say
from lab import LabError, lock, state_folder
from lab.kubernetes.fake_nodes import GPUS, LABEL, set_number
from lab.kubernetes.lifecycle import running
from lab.machine import require


def main() -> None:
    """`python3 -m lab.nodes NUMBER`."""
    parser = argparse.ArgumentParser(prog="python3 -m lab.nodes", description=__doc__)
    parser.add_argument("number", type=int, help=f"number of nodes, with {GPUS} GPUs each; 0 removes them")
    number, begun = parser.parse_args().number, time.monotonic()
    try:
        require()
        cluster = running(state_folder())
        with lock.exclusive(state_folder()):
            set_number(cluster, number)
    except LabError as error:
        sys.exit(f"lab.nodes: {error}")
    except KeyboardInterrupt:
        sys.exit("lab.nodes: interrupted; run it again to resume")
    if not number:
        say("no fake nodes are left")
        return
    say(f"{number} fake nodes of {GPUS} GPUs are ready, {duration(time.monotonic() - begun)}")
    say(f"  kubectl get nodes -l {LABEL}; pods need a toleration of {LABEL} to run there")


if __name__ == "__main__":
    run(main)
