"""`python3 -m lab.wan`: cut, restore, slow and watch the link between the premises and the outside network."""

from __future__ import annotations

import argparse
import os
import sys

from bootstrap.console import run
from lab import LabError, state_folder
from lab.machine import require
from lab.premises.lifecycle import running
from lab.premises.wan import Wan


def main() -> None:
    """`python3 -m lab.wan cut | restore | slow [--delay MS] [--rate KBIT] [--loss PERCENT] | show | run`."""
    parser = argparse.ArgumentParser(prog="python3 -m lab.wan", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("cut", help="drop everything")
    commands.add_parser("restore", help="pass everything at full speed")
    commands.add_parser("show", help="packets by host since the lab started")
    slow = commands.add_parser("slow", help="delay, throttle, drop packets; in each direction")
    slow.add_argument("--delay", type=float, default=0, metavar="MS", help="milliseconds (default: none)")
    slow.add_argument(
        "--rate", type=float, default=0, metavar="KBIT", help="kilobits per second (default: full)"
    )
    slow.add_argument("--loss", type=float, default=0, metavar="PERCENT", help="of the packets (default: 0)")
    inside = commands.add_parser("run", help="run a command outside the premises, such as a server")
    inside.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    wanted = parser.parse_args()
    try:
        require()
        wan = Wan(running(state_folder()).space)
        if wanted.command == "run":
            os.execvp("nsenter", ["nsenter", f"--net={wan.space.wan_network}", "--", *wanted.argv])  # noqa: S606, S607
        elif wanted.command == "slow":
            wan.slow(delay_ms=wanted.delay, rate_kbit=wanted.rate, loss_percent=wanted.loss)
        elif wanted.command == "show":
            for host, traffic in wan.capture().items():
                print(f"{host}: sent {traffic.sent}, received {traffic.received}, refused {traffic.refused}")
        else:
            {"cut": wan.cut, "restore": wan.restore}[wanted.command]()
    except LabError as error:
        sys.exit(f"lab.wan: {error}")


if __name__ == "__main__":
    run(main)
