"""`python -m benchmarks.converged -i INVENTORY [-e @VARIABLES]`: a run of site.yml that has nothing to do.

On premises that are deployed already, the lab's or your own: how long it takes, which kinds of tasks the time
goes to, and how often hosts are called: each call starts a program there, by SSH where it is another machine.
What `ansible-playbook` itself uses of this machine's processors is told beside the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lab.callbacks

ROOT = Path(__file__).resolve().parents[1]
# What Ansible says with -vvv of each command that it starts on a host, and of each file that it copies.
_CALL = re.compile(r"^<[^>]*> (?:SSH: )?(?:EXEC|PUT|FETCH) ", re.MULTILINE)
# Decided on this machine, without asking a host.
_HERE = ("set_fact", "assert", "include_tasks", "include_role", "set_stats", "debug", "fail", "meta")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: seconds by the clock and of this machine's processors, and what each task took."""

    seconds: float
    processor_seconds: float
    hosts: int
    tasks: list[tuple[str, str, float, int]]
    """Name, action, seconds until the next task began, hosts that it was for."""


def measure(playbook: str, options: list[str]) -> Run:
    """Run a playbook once. Ends the program where it fails or changes something."""
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.jsonl"
        callback = {"ANSIBLE_CALLBACK_PLUGINS": str(Path(lab.callbacks.__file__).parent)}
        callback |= {"ANSIBLE_CALLBACKS_ENABLED": "task_events", "TASK_EVENTS": str(events)}
        used, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
        _play(playbook, options, callback)
        ended, now = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        told = [json.loads(line) for line in events.read_text().splitlines()]
    tasks = _tasks(told, ended)
    return Run(
        seconds=ended - begun,
        processor_seconds=now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime,
        hosts=max(hosts for *_, hosts in tasks),
        tasks=tasks,
    )


def calls(playbook: str, options: list[str]) -> int:
    """Count how often a run calls hosts, this machine too if it is one; that takes a run of its own."""
    return calls_in(_play(playbook, ["-vvv", *options], {}))


def calls_in(output: str) -> int:
    """Count the calls in the output of a run with -vvv."""
    return len(_CALL.findall(output))


def _play(playbook: str, options: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", *options, playbook],
        cwd=ROOT / "ansible",
        env={**os.environ, **environment, "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode or re.search(r" changed=[1-9]", done.stdout):
        sys.exit(f"{done.stdout[-3000:]}\n{playbook} failed, or changed something: deploy first")
    return done.stdout


def _tasks(told: list[dict[str, Any]], ended: float) -> list[tuple[str, str, float, int]]:
    begins = [number for number, each in enumerate(told) if each["event"] == "task"]
    found = []
    for begin, following in zip(begins, [*begins[1:], len(told)], strict=True):
        until = told[following]["at"] if following < len(told) else ended
        skipped = sum(each["event"] == "skipped" for each in told[begin:following])
        hosts = sum(each["event"] == "start" for each in told[begin:following]) - skipped
        action = told[begin]["action"].rpartition(".")[2]
        found.append((told[begin]["task"], action, until - told[begin]["at"], hosts))
    return found


def report(runs: list[Run], called: int) -> str:
    """Say what the median run took, and where it went."""
    run = sorted(runs, key=lambda each: each.seconds)[len(runs) // 2]
    between = f"{min(each.seconds for each in runs):.1f} to {max(each.seconds for each in runs):.1f}"
    used = statistics.median(each.processor_seconds for each in runs)
    lines = [
        f"{run.hosts} hosts: {run.seconds:.1f} s ({between} in {len(runs)} runs), {used:.1f} s of processor"
    ]
    times = sum(hosts for *_, hosts in run.tasks)
    lines.append(f"{called} calls of hosts; {len(run.tasks)} tasks, {times} of them times their hosts")
    kinds: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for _, action, seconds, hosts in run.tasks:
        kinds[action].append((seconds, hosts))
    for action, each in sorted(kinds.items(), key=lambda kind: -sum(seconds for seconds, _ in kind[1])):
        seconds, hosts = sum(s for s, _ in each), sum(h for _, h in each)
        place = "here" if action in _HERE else "on hosts"
        lines.append(f"  {action:16} {place:9} {len(each):4} tasks {hosts:5} x hosts {seconds:7.1f} s")
    lines.append("longest:")
    for name, action, seconds, hosts in sorted(run.tasks, key=lambda task: -task[2])[:8]:
        lines.append(f"  {seconds:6.2f} s  {name} ({action}, {hosts} hosts)")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.converged", description=__doc__)
    parser.add_argument("-i", "--inventory", required=True, type=Path)
    parser.add_argument("-e", "--extra-vars", action="append", default=[], metavar="VARIABLES")
    parser.add_argument("--limit", help="only these hosts")
    parser.add_argument("--playbook", default="site.yml")
    parser.add_argument("--runs", type=int, default=3)
    wanted = parser.parse_args()
    options = ["-i", str(wanted.inventory.resolve())]
    options += [word for given in wanted.extra_vars for word in ("-e", given)]
    options += ["--limit", wanted.limit] if wanted.limit else []
    runs = [measure(wanted.playbook, options) for _ in range(wanted.runs)]
    print(report(runs, calls(wanted.playbook, options)))


if __name__ == "__main__":
    main()
