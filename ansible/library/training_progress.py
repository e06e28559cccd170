#!/usr/bin/python
"""Ansible module: report the progress of a training run, and whether it is still running."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.user_services import Service, ServiceError, service

DOCUMENTATION = r"""
module: training_progress
short_description: Report the progress of a training run
description:
  - Checks the run's folder and the training service, optionally until training ends.
options:
  run: {type: path, required: true, description: [The run's folder.]}
  manager:
    type: str
    required: true
    choices: [system, systemd, supervisor]
    description: [The service manager.]
  definition: {type: path, required: true, description: [The definition of the training service.]}
  seconds: {type: int, default: 0, description: [How long to wait for the end of training.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
state: {type: str, returned: always, description: [One of V(training), V(finished), V(stopped).]}
progress: {type: str, returned: always, description: [One human-readable line.]}
quiet_seconds: {type: int, returned: always, description: [Time since the last step.]}
log: {type: list, elements: str, returned: always, description: [Its last lines, if it stopped.]}
"""


def describe(record: dict[str, Any]) -> str:
    """Format one line of progress.jsonl: step, loss, tokens per second, time left."""
    words = [f"step {record['step']}/{record['of']}"]
    if record.get("loss") is not None:
        words.append(f"loss {record['loss']:.3f}")
    if record.get("tokens_per_s"):
        words.append(f"{record['tokens_per_s']:.0f} tokens/s")
    if record.get("seconds_left") is not None:
        minutes, seconds = divmod(round(record["seconds_left"]), 60)
        words.append(f"{minutes} min {seconds:02d} s left")
    return ", ".join(words)


def latest(progress: Path) -> str:
    """Describe the last complete record of a progress file; the writer may be in the middle of a line."""
    if not progress.exists():
        return "preparing"
    with progress.open("rb") as file:
        file.seek(max(0, progress.stat().st_size - 65536))
        complete = [line for line in file.read().split(b"\n")[:-1] if line.endswith(b"}")]
    return describe(json.loads(complete[-1])) if complete else "preparing"


def quiet_seconds(run: Path, now: float) -> float:
    """Return the time since the last step, start or resumption of the run; very long if there is none."""
    marks = [file.stat().st_mtime for name in ("progress.jsonl", "run.json") if (file := run / name).exists()]
    return max(0.0, now - max(marks, default=0.0))


def in_words(run: Path, quiet: float) -> str:
    """Describe a run's progress, and for how long it has been stalled."""
    minutes = int(quiet // 60) if (run / "run.json").exists() else 0
    where = latest(run / "progress.jsonl")
    return f"{where}; no step for {minutes} min" if minutes else where


def watch(run: Path, subject: Service, seconds: float) -> str:
    """Return the run's state once it is no longer training, or after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        # Check the service first: a run that finishes in between is then reported as finished.
        running = subject.running()
        if (run / "result.json").exists():
            return "finished"
        if not running:
            return "stopped"
        if time.monotonic() >= deadline:
            return "training"
        time.sleep(1)


def main() -> None:
    """Watch the run's folder and the service for a while, and return the result."""
    options: dict[str, Any] = {
        "run": {"type": "path", "required": True},
        "manager": {"type": "str", "required": True, "choices": ["system", "systemd", "supervisor"]},
        "definition": {"type": "path", "required": True},
        "seconds": {"type": "int", "default": 0},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    run, definition = Path(module.params["run"]), Path(module.params["definition"])
    subject = service(module.params["manager"], definition, "")
    try:
        state = watch(run, subject, module.params["seconds"])
        log = subject.log(20) if state == "stopped" else []
        quiet = quiet_seconds(run, time.time())
        words = in_words(run, 0.0 if state == "finished" else quiet)
        module.exit_json(changed=False, state=state, progress=words, quiet_seconds=int(quiet), log=log)
    except (ServiceError, OSError, ValueError, KeyError) as error:
        module.fail_json(msg=f"cannot determine the progress of {run}: {error}")


if __name__ == "__main__":
    main()
