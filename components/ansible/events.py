"""Reads Ansible's events: progress while a playbook runs, and the outcome for each host."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from typing import Any

from components.errors import PremisesError

_HIDDEN = "…"
_SLOW_SECONDS = 2.0


@dataclass(kw_only=True, slots=True)
class Report:
    """The outcome of a playbook.

    Attributes:
        playbook: its name, for messages.
        secrets: texts to keep out of messages and progress lines.
        tells_progress: whether to print the name and progress of a slow task while it runs.
        changes: how many tasks changed something, by host.
        changed_tasks: their names, by host.
        results: what the playbook returned with `set_stats`.

    """

    playbook: str
    secrets: tuple[str, ...] = ()
    tells_progress: bool = True
    changes: dict[str, int] = field(default_factory=dict)
    changed_tasks: dict[str, list[str]] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    _last_failure: dict[str, str] = field(default_factory=dict)
    _failed: list[str] = field(default_factory=list)
    _unreachable: list[str] = field(default_factory=list)
    _finished: bool = False
    _errors: list[str] = field(default_factory=list)
    _shown: str = ""
    _announcement: threading.Timer | None = None

    def take(self, event: dict[str, Any]) -> bool:
        """Handle one ansible-runner event; return False so that it is not written to a file."""
        data = event.get("event_data") or {}
        match event.get("event"):
            case "playbook_on_task_start" if data.get("name"):
                self._announce(str(data["name"]))
            case "runner_on_ok" | "runner_item_on_ok":
                self._took_ok(str(event["event"]), data)
            case "runner_retry":
                self._announce("")
                self._show(f"{data['host']}: {_progress(data.get('res') or {}) or _task(data) + ': not yet'}")
            case "runner_on_failed" | "runner_on_unreachable":
                self._last_failure[data["host"]] = f"{_task(data)}: {_message(data.get('res') or {})}"
            case "playbook_on_stats":
                self._took_stats(data)
                self._announce("")
            case "warning" | "system_warning" | "deprecated":
                self._show(" ".join(event.get("stdout", "").split()))
            case "error" | "verbose" if "ERROR" in event.get("stdout", ""):
                self._errors.append(" ".join(event["stdout"].split()))
        return False

    def _took_ok(self, kind: str, data: dict[str, Any]) -> None:
        result = data.get("res") or {}
        if kind == "runner_on_ok" and result.get("changed"):
            self.changed_tasks.setdefault(data["host"], []).append(f"{_task(data)}{_place(result)}")
        if result.get("_ansible_verbose_always") and isinstance(result.get("msg"), str):
            self._show(result["msg"])

    def _took_stats(self, data: dict[str, Any]) -> None:
        self._finished = True
        self._failed = sorted(data.get("failures") or {})
        self._unreachable = sorted(data.get("dark") or {})
        changed = data.get("changed") or {}
        self.changes = {host: int(changed.get(host, 0)) for host in sorted(data.get("processed") or {})}
        self.results = data.get("artifact_data") or {}

    def raise_for_failure(self) -> None:
        """Raise if hosts failed or were unreachable (Ansible itself ignores the latter in places).

        Raises:
            PremisesError: by host, with the failing task and its message, in one line.

        """
        lines = [
            f"{host} {'cannot be reached' if host in self._unreachable else 'failed'}: "
            f"{self._last_failure.get(host, 'no task reported a reason')}"
            for host in sorted({*self._failed, *self._unreachable})
        ]
        if not lines and not self._finished:
            lines = self._errors or ["it did not finish; was it stopped, or Ansible killed?"]
        if not lines and not self.changes:
            lines = ["no host of the inventory is in its groups"]
        if lines:
            raise PremisesError(self._without_secrets(f"{self.playbook}: {'; '.join(lines)}"))

    def _announce(self, task: str) -> None:
        """Print a task's name only if it is slow: printing all would bury what matters."""
        if self._announcement:
            self._announcement.cancel()
        self._announcement = threading.Timer(_SLOW_SECONDS, self._show, [task]) if task else None
        if self._announcement:
            self._announcement.daemon = True
            self._announcement.start()

    def _show(self, line: str) -> None:
        """Print a line unless it repeats the last one: a poll reports the same until something changes."""
        if self.tells_progress and line != self._shown:
            self._shown = line
            print(self._without_secrets(line), file=sys.stderr, flush=True)

    def _without_secrets(self, text: str) -> str:
        for secret in self.secrets:
            for part in (secret, *(line for line in secret.splitlines() if len(line) >= 16)):
                text = text.replace(part, _HIDDEN) if part else text
        return text


def _task(data: dict[str, Any]) -> str:
    """Return a task's name as Ansible shows it, with its role."""
    return f"{data['role']} : {data.get('task')}" if data.get("role") else str(data.get("task"))


def _message(result: dict[str, Any]) -> str:
    """Return a failed task's message in one line; for a loop, that of its first failed item."""
    if result.get("_ansible_no_log") or "censored" in result:
        return "its output is hidden because it may contain a secret"
    failed = [item for item in result.get("results", []) if isinstance(item, dict) and item.get("failed")]
    if failed:
        return _message(failed[0])
    stderr = [
        line
        for line in str(result.get("stderr") or result.get("module_stderr") or "").splitlines()
        if line.strip()
    ]
    said = str(result.get("msg") or "no message")
    # A command's message is only "non-zero return code"; its last output has the reason.
    text = f"{said}: {stderr[-1]}" if stderr and stderr[-1] not in said else said
    return " ".join(text.split())


def _progress(result: dict[str, Any]) -> str:
    """Return the latest progress of a retried task; empty if it only reports failure."""
    text = str(result.get("progress") or result.get("stdout") or "")
    said = [line for line in text.splitlines() if line.strip()]
    return said[-1].strip() if said else ""


def _place(result: dict[str, Any]) -> str:
    """Return the files that a task changes, if it names them, in brackets."""
    diffs = result.get("diff") or []
    headers = [each.get("after_header") for each in (diffs if isinstance(diffs, list) else [diffs])]
    one = result.get("dest") or result.get("path")
    named = [one] if one else [*headers, *(result.get("paths") or [])]
    places = dict.fromkeys(place for place in named if isinstance(place, str))
    return f" ({', '.join(places)})" if places else ""
