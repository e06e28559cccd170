"""Certificates of the cluster's programs, created by openssl.

Three CAs, which Kubernetes requires to be separate: for the cluster, for its database, and for the API
server's front proxy. Private keys never leave the folder, which only root may read.
"""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.commands import run
from lab.kubernetes import API_PORT, API_SERVICE, DOMAIN, NODE

if TYPE_CHECKING:
    from pathlib import Path

    from lab.kubernetes.layout import Layout
    from lab.premises.addresses import Addresses

_DAYS = "3650"
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_AUTHORITIES = ("ca", "etcd-ca", "front-proxy-ca")
ADMINISTRATOR = "admin"
_LOCAL = f"https://127.0.0.1:{API_PORT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Identity:
    """A certificate: its file, subject (and its RBAC group), and names."""

    file: str
    name: str
    group: str = ""
    authority: str = "ca"
    places: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return (f"/O={self.group}" if self.group else "") + f"/CN={self.name}"


def _identities(addresses: Addresses) -> list[_Identity]:
    local = ("DNS:localhost", "IP:127.0.0.1")
    service = tuple(
        f"DNS:kubernetes{each}" for each in ("", ".default", ".default.svc", f".default.svc.{DOMAIN}")
    )
    here = (f"IP:{addresses.cloud}", f"IP:{addresses.cloud_inside}", f"IP:{API_SERVICE}")
    clients = {
        ADMINISTRATOR: (ADMINISTRATOR, "system:masters"),
        "apiserver-kubelet-client": ("kube-apiserver", "system:masters"),
        "kube-controller-manager": ("system:kube-controller-manager", ""),
        "kube-scheduler": ("system:kube-scheduler", ""),
        "kube-proxy": ("system:kube-proxy", ""),
        "kwok": ("kwok", "system:masters"),
    }
    return [
        *(_Identity(file=file, name=name, group=group) for file, (name, group) in clients.items()),
        _Identity(file="apiserver", name="kube-apiserver", places=(*local, *service, *here)),
        _kubelet("kubelet", NODE, addresses),
        _Identity(file="etcd", name="etcd", authority="etcd-ca", places=local),
        _Identity(file="apiserver-etcd-client", name="kube-apiserver", authority="etcd-ca"),
        _Identity(file="front-proxy-client", name="front-proxy-client", authority="front-proxy-ca"),
    ]


def _kubelet(file: str, node: str, addresses: Addresses) -> _Identity:
    places = (f"DNS:{node}", f"IP:{addresses.cloud}")
    return _Identity(file=file, name=f"system:node:{node}", group="system:nodes", places=places)


def make_certificates(layout: Layout, addresses: Addresses) -> None:
    """Create all certificates and the key that signs service accounts' tokens. Raises LabError."""
    # Without its own configuration openssl would add the distribution's extensions.
    layout.config("openssl.cnf").write_text("[req]\ndistinguished_name = none\n[none]\n", encoding="ascii")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: _make_authority(layout, name), _AUTHORITIES))
        list(pool.map(lambda identity: _issue(layout, identity), _identities(addresses)))
    signing = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    key = layout.key("service-account")
    run([*signing, "-out", str(key)])
    run(["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(key.with_suffix(".pub"))])


def add_kubelet(layout: Layout, addresses: Addresses, file: str, node: str) -> None:
    """Create certificate and kubeconfig, as `file`, for the kubelet of one more node. Raises LabError."""
    _issue(layout, _kubelet(file, node, addresses))
    _write_private(layout.credentials(file), _kubeconfig(layout, file, _LOCAL))


def _make_authority(layout: Layout, name: str) -> None:
    extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
    _request(layout, name, f"/CN=scenario-lab-{name}", extensions)


def _issue(layout: Layout, identity: _Identity) -> None:
    extensions = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        "extendedKeyUsage=serverAuth,clientAuth",
    ]
    if identity.places:
        extensions.append(f"subjectAltName={','.join(identity.places)}")
    signer = ["-CA", str(layout.certificate(identity.authority))]
    signer += ["-CAkey", str(layout.key(identity.authority))]
    _request(layout, identity.file, identity.subject, extensions, signer)


def _request(
    layout: Layout, name: str, subject: str, extensions: list[str], signer: list[str] | None = None
) -> None:
    command = ["openssl", "req", "-x509", "-new", *_CURVE, "-days", _DAYS, "-subj", subject]
    command += ["-config", str(layout.config("openssl.cnf")), *(signer or [])]
    for extension in extensions:
        command += ["-addext", extension]
    run([*command, "-keyout", str(layout.key(name)), "-out", str(layout.certificate(name))])


def write_kubeconfigs(layout: Layout, addresses: Addresses) -> None:
    """Write each client's kubeconfig; the one for people has the outer address."""
    for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kwok"):
        _write_private(layout.credentials(name), _kubeconfig(layout, name, _LOCAL))
    outer = f"https://{addresses.cloud_inside}:{API_PORT}"
    _write_private(layout.kubeconfig, _kubeconfig(layout, ADMINISTRATOR, outer))


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="ascii")


def _kubeconfig(layout: Layout, name: str, server: str) -> str:
    """Write it as JSON, which is valid YAML."""

    def data(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode("ascii")

    cluster = {"server": server, "certificate-authority-data": data(layout.certificate("ca"))}
    user = {
        "client-certificate-data": data(layout.certificate(name)),
        "client-key-data": data(layout.key(name)),
    }
    told = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name}}],
        "current-context": "lab",
    }
    return json.dumps(told, indent=1) + "\n"
