"""Ansible callback: tell when each task starts and ends on each host; wait before one of them if asked to."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: task_events
type: notification
short_description: Write the times of tasks as JSON lines
description:
  - Only where C(ANSIBLE_CALLBACKS_ENABLED) names it. C(TASK_EVENTS) is the file that it adds lines to.
  - With C(TASK_EVENTS_STOP), the play stands still before the task with that number, the first being 1, until
    somebody has opened the named pipe C(TASK_EVENTS_GATE) for writing and closed it again.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """Beside whichever callback writes the standard output; runs in the play's own process."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "task_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._path = Path(os.environ["TASK_EVENTS"])
        self._stop = int(os.environ.get("TASK_EVENTS_STOP", "0"))
        self._number = 0

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002 its name
        """Tell, and wait where that is asked for: no host has begun with the task yet."""
        self._number += 1
        self._tell("task", task, number=self._number)
        if self._number == self._stop:
            self._tell("stopped", task)
            Path(os.environ["TASK_EVENTS_GATE"]).read_bytes()

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Handlers are tasks."""
        self.v2_playbook_on_task_start(task, is_conditional=False)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Tell that a host begins with a task."""
        self._tell("start", task, host=host.get_name())

    def v2_runner_on_ok(self, result: Any) -> None:
        """Tell that a host is done with a task."""
        self._ended("ok", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Tell that a task was not for a host."""
        self._ended("skipped", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ARG002
        """Tell that a task failed on a host."""
        self._ended("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Tell that a host was not reached."""
        self._ended("unreachable", result)

    def _ended(self, event: str, result: Any) -> None:
        self._tell(event, result.task, host=result.host.get_name())

    def _tell(self, event: str, task: Any, **more: object) -> None:
        line = {"event": event, "at": time.time(), "task": task.get_name(), "action": task.action, **more}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
