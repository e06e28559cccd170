"""Security contexts of all pods with the model package's image; they meet Pod Security's level `restricted`.

Source: <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>.
"""

from __future__ import annotations

_USER = 65532  # the image's own

ANY_USER = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
"""Where the cluster chooses user and group, as OpenShift does for each namespace."""
POD_SECURITY = {**ANY_USER, "runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
