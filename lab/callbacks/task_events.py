"""Ansible callback: records when each task starts and ends on each host; can pause before a task."""

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
  - Enabled by C(ANSIBLE_CALLBACKS_ENABLED). Appends lines to the file C(TASK_EVENTS).
  - With C(TASK_EVENTS_STOP), the play pauses before the task with that number, counted from 1, until the
    named pipe C(TASK_EVENTS_GATE) has been opened for writing and closed again.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """Runs in addition to the stdout callback, in the play's own process."""

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
        """Record the task, and pause if requested: no host has started it yet."""
        self._number += 1
        self._tell("task", task, number=self._number)
        if self._number == self._stop:
            self._tell("stopped", task)
            Path(os.environ["TASK_EVENTS_GATE"]).read_bytes()

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Handlers are tasks."""
        self.v2_playbook_on_task_start(task, is_conditional=False)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Record that a host starts a task."""
        self._tell("start", task, host=host.get_name())

    def v2_runner_on_ok(self, result: Any) -> None:
        """Record that a host finished a task."""
        self._ended("ok", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Record that a host skipped a task."""
        self._ended("skipped", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ARG002
        """Record that a task failed on a host."""
        self._ended("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Record that a host was unreachable."""
        self._ended("unreachable", result)

    def _ended(self, event: str, result: Any) -> None:
        self._tell(event, result.task, host=result.host.get_name())

    def _tell(self, event: str, task: Any, **more: object) -> None:
        line = {"event": event, "at": time.time(), "task": task.get_name(), "action": task.action, **more}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
