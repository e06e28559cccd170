"""The lab's public cloud: a real Kubernetes on one node, out in the world beyond the premises' router.

Like the premises it lives in namespaces that one process holds: `docs/decisions/0041-lab-cluster.md`.
"""

from __future__ import annotations

# Shared address space (RFC 6598): it exists inside the cloud only, and no range of the lab's can touch it.
PODS = "100.64.0.0/16"
SERVICES = "100.65.0.0/16"
API_SERVICE = "100.65.0.1"
DNS_SERVICE = "100.65.0.10"

DOMAIN = "cluster.local"
NODE = "cloud-1"
"""The one node that runs pods."""
API_PORT = 6443
AWS_PORT = 9440
"""Where the lab's AWS listens, at each address that the cloud has."""
TOKEN_PORT = 9441
"""Where it says whose bearer token this is, on the cloud's own loopback."""
