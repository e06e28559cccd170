"""The lab's public cloud: a real Kubernetes on one node, outside the premises' router.

Like the premises it lives in namespaces held by one process: `docs/decisions/0041-lab-cluster.md`.
"""

from __future__ import annotations

# Shared address space (RFC 6598): used inside the cloud only, and disjoint from the lab's ranges.
PODS = "100.64.0.0/16"
SERVICES = "100.65.0.0/16"
API_SERVICE = "100.65.0.1"
DNS_SERVICE = "100.65.0.10"

DOMAIN = "cluster.local"
NODE = "cloud-1"
"""The one node that runs pods."""
API_PORT = 6443
AWS_PORT = 9440
"""Port of the lab's AWS, on all addresses of the cloud."""
TOKEN_PORT = 9441
"""Port of the token webhook, on the cloud's own loopback."""
