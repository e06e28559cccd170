"""The premises: disposable Debian hosts behind a router that can be cut, slowed and watched.

All of it lives in namespaces held open by one process, the keeper: when it ends, the kernel removes its
processes, mounts, interfaces and rules. See `docs/decisions/0040-lab-premises.md`.
"""

from __future__ import annotations

USER = "modelops"
"""The account for Ansible on every host; with passwordless sudo."""
