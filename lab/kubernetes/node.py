"""The one node that runs pods: containerd, runc, kubelet, kube-proxy and the network of its pods."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.kubernetes import DNS_SERVICE, DOMAIN, NODE, PODS
from lab.kubernetes.layout import Layout, Program

if TYPE_CHECKING:
    from pathlib import Path

    from lab.premises.addresses import Addresses

SOCKET = "/run/containerd/containerd.sock"
"""In the cloud's private /run."""
_POD_ADDRESSES = "100.64.0.0/24"

HIDDEN = ("/var/lib", "/var/log")
"""Paths hardcoded in the kubelet: the cloud has its own folders there."""


def containerd(layout: Layout) -> Program:
    """The container runtime."""
    return Program("containerd", "containerd", (f"--config={layout.config('containerd.toml')}",))


def kubelet(layout: Layout, addresses: Addresses) -> Program:
    """The kubelet."""
    return Program(
        "kubelet",
        "kubernetes",
        (
            f"--config={layout.config('kubelet.json')}",
            f"--kubeconfig={layout.credentials('kubelet')}",
            f"--root-dir={layout.data('kubelet')}",
            f"--hostname-override={NODE}",
            f"--node-ip={addresses.cloud}",
        ),
    )


def kube_proxy(layout: Layout) -> Program:
    """The Service proxy."""
    return Program("kube-proxy", "kubernetes", (f"--config={layout.config('kube-proxy.json')}",))


def write_configs(layout: Layout, *, runc: Path, cni: Path, sandbox: str) -> None:
    """Write the configuration of all three; `sandbox` is the image that holds a pod's namespaces."""
    told = containerd_config(
        layout.data("containerd"), layout.config("cni"), runc=runc, cni=cni, sandbox=sandbox
    )
    layout.config("containerd.toml").write_text(told, encoding="utf-8")
    write(layout.config("kubelet.json"), kubelet_config(layout, "kubelet", layout.side.cgroup))
    write(layout.config("kube-proxy.json"), _kube_proxy(layout))
    write_pod_network(layout.config("cni"), "cni0", _POD_ADDRESSES)


def write(path: Path, told: dict[str, object]) -> None:
    """Write a configuration."""
    path.write_text(json.dumps(told, indent=1), encoding="utf-8")


def containerd_config(root: Path, network: Path, *, runc: Path, cni: Path, sandbox: str) -> str:
    """It writes only below its root or in the node's own /run, and loads no kernel profiles."""
    runtime = "[plugins.'io.containerd.cri.v1.runtime'"
    return f"""version = 3
root = '{root}'
state = '/run/containerd'
[grpc]
address = '{SOCKET}'
[plugins.'io.containerd.internal.v1.opt']
path = '{root}/opt'
[plugins.'io.containerd.nri.v1.nri']
disable = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{sandbox}'
{runtime}]
disable_apparmor = true
restrict_oom_score_adj = true
{runtime}.cni]
bin_dirs = ['{cni}']
conf_dir = '{network}'
{runtime}.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
{runtime}.containerd.runtimes.runc.options]
BinaryName = '{runc}'
SystemdCgroup = false
"""


def kubelet_config(layout: Layout, name: str, cgroup: str) -> dict[str, object]:
    """Return the configuration of the kubelet whose certificate has this name; `cgroup` is for its pods."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.certificate("ca"))},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.certificate(name)),
        "tlsPrivateKeyFile": str(layout.key(name)),
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": DOMAIN,
        "resolvConf": "",
        "podLogsDir": str(layout.data("pod-logs")),
        "volumePluginDir": str(layout.data("volume-plugins")),
        # Never evict because of this machine's disk usage: images cannot be fetched again.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        # JobSet's and Kueue's webhooks start with certificates that are created after their pods.
        "syncFrequency": "2s",
    }


def _kube_proxy(layout: Layout) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(layout.credentials("kube-proxy"))},
        "mode": "nftables",
        "clusterCIDR": PODS,
        "hostnameOverride": NODE,
        "nodePortAddresses": ["0.0.0.0/0"],  # on both links
        "conntrack": {"maxPerCore": 0, "min": 0},  # the machine's own limits stay unchanged
        "oomScoreAdj": 0,
    }


def write_pod_network(folder: Path, bridge: str, addresses: str) -> None:
    """Write the configuration of a node's pods: their bridge, and their addresses."""
    told = {
        "type": "bridge",
        "bridge": bridge,
        "isGateway": True,
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": addresses}]]},
    }
    ports = {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": True}}
    folder.mkdir()
    write(folder / "10-lab.conflist", {"cniVersion": "1.0.0", "name": "lab", "plugins": [told, ports]})
