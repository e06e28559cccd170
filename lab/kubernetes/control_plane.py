"""The control plane: its database, the API server, the controllers, the scheduler."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.kubernetes import API_PORT, SERVICES, TOKEN_PORT
from lab.kubernetes.layout import Layout, Program

if TYPE_CHECKING:
    from lab.premises.addresses import Addresses

_ETCD = "https://127.0.0.1:2379"


def etcd(layout: Layout) -> Program:
    """The database. It need not survive a power cut, so it does not wait for the disk."""
    return Program(
        "etcd",
        "etcd",
        (
            f"--data-dir={layout.data('etcd')}",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--client-cert-auth",
            f"--trusted-ca-file={layout.certificate('etcd-ca')}",
            f"--cert-file={layout.certificate('etcd')}",
            f"--key-file={layout.key('etcd')}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
    )


def api_server(layout: Layout, addresses: Addresses) -> Program:
    """The API server, with RBAC, and with the webhook for tokens of `aws eks get-token`."""
    files = {
        "client-ca-file": layout.certificate("ca"),
        "etcd-cafile": layout.certificate("etcd-ca"),
        "etcd-certfile": layout.certificate("apiserver-etcd-client"),
        "etcd-keyfile": layout.key("apiserver-etcd-client"),
        "kubelet-certificate-authority": layout.certificate("ca"),
        "kubelet-client-certificate": layout.certificate("apiserver-kubelet-client"),
        "kubelet-client-key": layout.key("apiserver-kubelet-client"),
        "proxy-client-cert-file": layout.certificate("front-proxy-client"),
        "proxy-client-key-file": layout.key("front-proxy-client"),
        "requestheader-client-ca-file": layout.certificate("front-proxy-ca"),
        "service-account-key-file": layout.key("service-account").with_suffix(".pub"),
        "service-account-signing-key-file": layout.key("service-account"),
        "tls-cert-file": layout.certificate("apiserver"),
        "tls-private-key-file": layout.key("apiserver"),
        "authentication-token-webhook-config-file": layout.config("token-webhook.json"),
    }
    return Program(
        "kube-apiserver",
        "kubernetes",
        (
            *(f"--{name}={path}" for name, path in files.items()),
            "--bind-address=0.0.0.0",
            f"--secure-port={API_PORT}",
            f"--advertise-address={addresses.cloud}",
            f"--etcd-servers={_ETCD}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={SERVICES}",
            "--authentication-token-webhook-version=v1",
            "--profiling=false",
        ),
    )


def controller_manager(layout: Layout) -> Program:
    """The controllers. The node assigns pod addresses, whatever the number of fake nodes."""
    return Program(
        "kube-controller-manager",
        "kubernetes",
        (
            f"--kubeconfig={layout.credentials('kube-controller-manager')}",
            "--bind-address=127.0.0.1",
            "--use-service-account-credentials=true",
            f"--root-ca-file={layout.certificate('ca')}",
            f"--service-account-private-key-file={layout.key('service-account')}",
            f"--cluster-signing-cert-file={layout.certificate('ca')}",
            f"--cluster-signing-key-file={layout.key('ca')}",
            "--allocate-node-cidrs=false",
            "--leader-elect=false",
            "--profiling=false",
        ),
    )


def scheduler(layout: Layout) -> Program:
    """The scheduler."""
    return Program(
        "kube-scheduler",
        "kubernetes",
        (
            f"--kubeconfig={layout.credentials('kube-scheduler')}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--profiling=false",
        ),
    )


def write_token_webhook(layout: Layout) -> None:
    """Configure the webhook for foreign tokens; it need not be running."""
    server = f"http://127.0.0.1:{TOKEN_PORT}"
    told = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tokens", "cluster": {"server": server}}],
        "users": [{"name": "apiserver", "user": {}}],
        "contexts": [{"name": "tokens", "context": {"cluster": "tokens", "user": "apiserver"}}],
        "current-context": "tokens",
    }
    layout.config("token-webhook.json").write_text(json.dumps(told), encoding="ascii")
