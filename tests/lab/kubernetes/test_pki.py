"""Who the cluster's programs are to each other, read back by another library than the one that wrote it."""

from __future__ import annotations

import base64
import ipaddress
import json
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from lab.kubernetes.layout import Layout
from lab.kubernetes.pki import make_certificates, write_kubeconfigs
from lab.premises.addresses import Addresses
from lab.side import cloud_of

if TYPE_CHECKING:
    from pathlib import Path

ADDRESSES = Addresses("10.213.40.0/22")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(cloud_of(tmp_path))
    layout.home.mkdir()
    layout.make_folders()
    make_certificates(layout, ADDRESSES)
    write_kubeconfigs(layout, ADDRESSES)
    return layout


def certificate(layout: Layout, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(layout.certificate(name).read_bytes())


def named(one: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str | bytes]:
    return [each.value for each in one.subject.get_attributes_for_oid(oid)]


def test_rbac_knows_each_client_by_name_and_group(layout: Layout) -> None:
    for file, name, groups in (
        ("admin", "admin", ["system:masters"]),
        ("kubelet", "system:node:cloud-1", ["system:nodes"]),
        ("kube-scheduler", "system:kube-scheduler", []),
    ):
        one = certificate(layout, file)
        assert named(one, NameOID.COMMON_NAME) == [name]
        assert named(one, NameOID.ORGANIZATION_NAME) == groups


def test_the_api_server_is_who_it_says_from_every_side(layout: Layout) -> None:
    store = Store([certificate(layout, "ca")])
    for place in (ADDRESSES.cloud, ADDRESSES.cloud_inside, "100.65.0.1", "127.0.0.1"):
        subject = x509.IPAddress(ipaddress.ip_address(place))
        verifier = PolicyBuilder().store(store).build_server_verifier(subject)
        assert verifier.verify(certificate(layout, "apiserver"), [])
    elsewhere = PolicyBuilder().store(store).build_server_verifier(x509.DNSName("example.org"))
    with pytest.raises(VerificationError):
        elsewhere.verify(certificate(layout, "apiserver"), [])


def test_who_the_cluster_knows_the_database_does_not(layout: Layout) -> None:
    store = Store([certificate(layout, "etcd-ca")])
    verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName("localhost"))
    assert verifier.verify(certificate(layout, "etcd"), [])
    with pytest.raises(VerificationError):
        verifier.verify(certificate(layout, "apiserver"), [])


def test_keys_are_roots_alone_and_the_persons_kubeconfig_is_complete(layout: Layout) -> None:
    for key in layout.key("any").parent.glob("*.key"):
        assert key.stat().st_mode & 0o777 == 0o600
    assert layout.key("any").parent.stat().st_mode & 0o777 == 0o700
    assert layout.kubeconfig.stat().st_mode & 0o777 == 0o600
    told = json.loads(layout.kubeconfig.read_text())
    assert told["clusters"][0]["cluster"]["server"] == f"https://{ADDRESSES.cloud_inside}:6443"
    mine = base64.b64decode(told["users"][0]["user"]["client-certificate-data"])
    assert mine == layout.certificate("admin").read_bytes()
