"""Ansible callback: print the `progress` line of a retried task whenever it changes."""

from __future__ import annotations

from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: training_progress
type: notification
short_description: Show the progress of a polled task
description: Prints the C(progress) that a retried task returns, prefixed with the host.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """Works alongside any stdout callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "training_progress"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shown: dict[str, str] = {}

    def v2_runner_retry(self, result: Any) -> None:
        """Print a line if it differs from the host's last one."""
        host, line = result.host.get_name(), result.result.get("progress")
        if line and self._shown.get(host) != line:
            self._shown[host] = line
            self._display.display(f"  [{host}] {line}")
