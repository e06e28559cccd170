"""The premises: disposable Debian hosts behind a router that can be cut, slowed and watched.

All of it lives in namespaces that one process, the keeper, holds open: when it ends, the kernel takes its
processes, mounts, interfaces and rules away. `docs/decisions/0040-lab-premises.md` says why.
"""

from __future__ import annotations

USER = "modelops"
"""The account for Ansible on every host; it may use sudo without a password."""
