"""Credentials: made once, kept, renewed in time, private, and good enough for strict clients."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from scenario_model.errors import InputError
from scenario_model.serve.credentials import ensure
from scenario_model.serve.credentials_command import command

if TYPE_CHECKING:
    from pathlib import Path


HOSTS = ["localhost", "127.0.0.1", "::1", "model.example.org"]
FILES = ["api_key", "api_keys.json", "ca.key", "ca.pem", "server.key", "server.pem"]


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_everything_is_made_and_a_strict_client_accepts_it(tmp_path: Path) -> None:
    assert sorted(ensure(tmp_path, HOSTS).changed) == FILES
    ca, server = certificate(tmp_path / "ca.pem"), certificate(tmp_path / "server.pem")
    policy = PolicyBuilder().store(Store([ca]))
    for host in HOSTS:
        name: x509.IPAddress | x509.DNSName = x509.DNSName(host)
        if not host[-1].isalpha():
            name = x509.IPAddress(ipaddress.ip_address(host))
        assert policy.build_server_verifier(name).verify(server, [])
    with pytest.raises(x509.verification.VerificationError):
        policy.build_server_verifier(x509.DNSName("other.example.org")).verify(server, [])


def test_lifetimes_are_ten_years_and_one(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ensure(tmp_path, HOSTS)
    lives = [certificate(tmp_path / name).not_valid_after_utc - now for name in ("ca.pem", "server.pem")]
    assert [round(life / timedelta(days=1)) for life in lives] == [3650, 365]


def test_secrets_are_private(tmp_path: Path) -> None:
    ensure(tmp_path / "new", HOSTS)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    assert {name for name, mode in modes.items() if mode != 0o600} == {"ca.pem", "server.pem"}
    (tmp_path / "new" / "api_key").chmod(0o644)
    assert ensure(tmp_path / "new", HOSTS).changed == ("api_key",)
    assert (tmp_path / "new" / "api_key").stat().st_mode & 0o777 == 0o600


def test_the_second_time_nothing_changes(tmp_path: Path) -> None:
    ensure(tmp_path, HOSTS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert ensure(tmp_path, HOSTS).changed == ()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("days", "renewed"), [(330, ()), (340, ("server.key", "server.pem")), (3630, tuple(FILES[2:]))]
)
def test_certificates_are_renewed_in_time_and_the_key_stays(
    tmp_path: Path, days: int, renewed: tuple[str, ...]
) -> None:
    ensure(tmp_path, HOSTS)
    assert ensure(tmp_path, HOSTS, now=datetime.now(UTC) + timedelta(days=days)).changed == renewed


def test_other_hosts_renew_the_server_certificate_under_the_same_authority(tmp_path: Path) -> None:
    ensure(tmp_path, ["localhost"])
    assert ensure(tmp_path, HOSTS).changed == ("server.key", "server.pem")


@pytest.mark.parametrize("name", ["ca.key", "ca.pem", "server.key", "server.pem", "api_key", "api_keys.json"])
def test_a_lost_file_is_made_again(tmp_path: Path, name: str) -> None:
    ensure(tmp_path, HOSTS)
    (tmp_path / name).unlink()
    assert name in ensure(tmp_path, HOSTS).changed
    assert ensure(tmp_path, HOSTS).changed == ()


def test_the_key_is_long_recognisable_and_kept_only_hashed_for_the_server(tmp_path: Path) -> None:
    ensure(tmp_path, HOSTS)
    key = (tmp_path / "api_key").read_text().strip()
    assert key.startswith("smk_")
    assert len(key) >= 4 + 43
    content = (tmp_path / "api_keys.json").read_text()
    assert json.loads(content) == {
        "keys": [{"id": "default", "sha256": hashlib.sha256(key.encode()).hexdigest()}]
    }


def test_other_clients_keys_are_kept(tmp_path: Path) -> None:
    ensure(tmp_path, HOSTS)
    path = tmp_path / "api_keys.json"
    keys = json.loads(path.read_text())["keys"]
    path.write_text(json.dumps({"keys": [{"id": "second", "sha256": "ab" * 32}, *keys]}))
    ensure(tmp_path, HOSTS)
    assert {key["id"] for key in json.loads(path.read_text())["keys"]} == {"default", "second"}


@pytest.mark.parametrize("host", ["", "not a host", "a..b", "-a", "http://x", "x/y", "münchen", "1.2.3.4/8"])
def test_what_is_no_host_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(InputError, match="neither a DNS name nor an IP address"):
        ensure(tmp_path, [host])


def test_the_command_prints_no_secret(tmp_path: Path) -> None:
    for _ in range(2):
        ran = CliRunner().invoke(command, ["--out", str(tmp_path / "c"), "--host", "localhost", "--json"])
        assert ran.exit_code == 0
        assert (tmp_path / "c" / "api_key").read_text().strip() not in ran.output
    said = json.loads(ran.stdout)
    assert said["changed"] is False
    assert said["files"]["ca_pem"] == str(tmp_path / "c" / "ca.pem")
