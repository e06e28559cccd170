"""Ansible action: look at a host once in a run, and at each play insist that no host went missing."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


def missing(task_vars: dict[str, Any]) -> list[str]:
    """Name the hosts of this play, and of the one that first looked, that failed or could not be reached.

    `any_errors_fatal` does not count a host that cannot be reached (ansible/ansible#82834), and later plays
    leave it out in silence.
    """
    looks = {name: hosts.get("premises_look") or {} for name, hosts in _expected(task_vars)}
    lost = set(task_vars["ansible_play_hosts_all"]) - set(task_vars["ansible_play_hosts"])
    return sorted(lost | {name for name, look in looks.items() if "root" not in look})


def _expected(task_vars: dict[str, Any]) -> list[tuple[str, Any]]:
    names = (task_vars.get("premises_look") or {}).get("expected", [])
    return [(name, task_vars["hostvars"][name]) for name in names]


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Asks the host where nothing is known of it yet; else repeats the answer without a call."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the module told; `expected` are the hosts that were looked at together."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        if lost := missing(variables):
            message = f"failed or not reachable: {', '.join(lost)}; nothing more is done on any host"
            return {**result, "failed": True, "msg": message}
        known = variables.get("premises_look") or {}
        if "root" in known:
            return {**result, **known}
        told = self._execute_module(module_name="premises_look", task_vars=variables)
        return {**result, **told, "expected": list(variables["ansible_play_hosts_all"])}
