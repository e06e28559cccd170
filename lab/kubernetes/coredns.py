"""CoreDNS: names of Services and pods, inside the cluster only. It does not resolve external names."""

from __future__ import annotations

from typing import Any

from lab.images import reference
from lab.kubernetes import DNS_SERVICE, DOMAIN

# Negative answers are not cached: peers of a JobSet start one after the other.
_COREFILE = f"""
.:53 {{
  errors
  health
  ready
  kubernetes {DOMAIN} in-addr.arpa {{
    pods insecure
    ttl 5
  }}
  cache 5 {{
    disable denial
  }}
}}
"""


def objects() -> list[dict[str, Any]]:
    """Return CoreDNS's objects."""

    def named(kind: str, api: str, name: str, *, namespace: bool = True, **body: Any) -> dict[str, Any]:
        metadata = {"name": name} | ({"namespace": "kube-system"} if namespace else {})
        return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}

    rbac, labels = "rbac.authorization.k8s.io", {"k8s-app": "kube-dns"}
    watch = ["list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": watch},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watch},
    ]
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": "system:coredns"}
    subject = {"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}
    ports = [
        {"name": f"dns-{each.lower()}", "port": 53, "targetPort": 53, "protocol": each}
        for each in ("UDP", "TCP")
    ]
    template = {"metadata": {"labels": labels}, "spec": _pod()}
    deployment = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return [
        named("ServiceAccount", "v1", "coredns"),
        named("ClusterRole", f"{rbac}/v1", "system:coredns", namespace=False, rules=rules),
        named(
            "ClusterRoleBinding",
            f"{rbac}/v1",
            "system:coredns",
            namespace=False,
            roleRef=role,
            subjects=[subject],
        ),
        named("ConfigMap", "v1", "coredns", data={"Corefile": _COREFILE}),
        named("Deployment", "apps/v1", "coredns", spec=deployment),
        named(
            "Service", "v1", "kube-dns", spec={"clusterIP": DNS_SERVICE, "selector": labels, "ports": ports}
        ),
    ]


def _pod() -> dict[str, Any]:
    container = {
        "name": "coredns",
        "image": reference("coredns"),
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
        "ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    return {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
