"""Ansible action: inspect a host once per run, and require in each play that no host has disappeared."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


def missing(task_vars: dict[str, Any]) -> list[str]:
    """Return the hosts of this play, and of the first inspecting play, that failed or were unreachable.

    `any_errors_fatal` ignores unreachable hosts (ansible/ansible#82834), and later plays silently skip
    them.
    """
    looks = {name: hosts.get("premises_look") or {} for name, hosts in _expected(task_vars)}
    lost = set(task_vars["ansible_play_hosts_all"]) - set(task_vars["ansible_play_hosts"])
    return sorted(lost | {name for name, look in looks.items() if "root" not in look})


def _expected(task_vars: dict[str, Any]) -> list[tuple[str, Any]]:
    names = (task_vars.get("premises_look") or {}).get("expected", [])
    return [(name, task_vars["hostvars"][name]) for name in names]


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """Inspects the host on first use; afterwards returns the cached result without a call."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result; `expected` are the hosts that were inspected together."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        # Sites depend on nobody: one that fails stops no other.
        if not variables.get("premises_alone") and (lost := missing(variables)):
            message = f"failed or unreachable: {', '.join(lost)}; stopping on all hosts"
            return {**result, "failed": True, "msg": message}
        known = variables.get("premises_look") or {}
        if "root" in known:
            return {**result, **known}
        told = self._execute_module(module_name="premises_look", task_vars=variables)
        return {**result, **told, "expected": list(variables["ansible_play_hosts_all"])}
