"""A report of drift says what was seen, and is believed only if the server's authority vouches for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from scenario_model.errors import InputError, Refused
from scenario_model.report import drift_report
from scenario_model.serve import credentials
from scenario_model.signing.certificates import builder
from tests.model.report import made

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    credentials.ensure(folder, ["localhost"], made.BEFORE)
    return folder


def test_it_says_what_the_last_window_of_the_release_has_shown(tmp_path: Path, tls: Path) -> None:
    windows = [made.window(0, 90_000, release=made.OTHER), *made.asking(2)]
    found = drift_report.read(made.written(tmp_path / "report", tls, windows), tls / "ca.pem").report
    assert (found.drift.release, found.drift.asks) == (made.RELEASE, "retraining")
    assert (found.windows, found.asking) == (3, 2)
    assert [(each.name, each.value) for each in found.drift.signals] == [
        ("changed", 50_000),
        ("novel", 50_000),
    ]
    assert all(f">{name}</text>" in found.picture for name in ("changed", "novel"))
    assert found.picture.startswith('<svg xmlns="http://www.w3.org/2000/svg"')


def test_one_detector_alone_asks_for_nothing_but_attention(tmp_path: Path, tls: Path) -> None:
    windows = [made.window(0, 50_000, both=False)]
    found = drift_report.read(made.written(tmp_path / "report", tls, windows), tls / "ca.pem").report
    assert (found.drift.asks, found.asking) == ("warning", 0)


def test_there_is_none_before_a_window_with_detectors_is_over() -> None:
    with pytest.raises(InputError, match=r"no window of .* with detectors is over yet"):
        drift_report.of_windows([made.window(0, release=made.OTHER)], made.RELEASE, 10_000)


def test_every_changed_byte_is_refused(tmp_path: Path, tls: Path) -> None:
    content = bytearray(made.written(tmp_path / "report", tls).read_bytes())
    changed = tmp_path / "changed"
    for place in range(0, len(content), 3):
        content[place] ^= 1
        changed.write_bytes(content)
        with pytest.raises(Refused):
            drift_report.read(changed, tls / "ca.pem")
        content[place] ^= 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"report": 1, "certificate": "", "signature": ""}', b"[" * 100_000, b"\xff\xfe"],
)
def test_rubbish_is_refused(tmp_path: Path, tls: Path, content: bytes) -> None:
    (tmp_path / "report").write_bytes(content)
    with pytest.raises(Refused, match="is not a report"):
        drift_report.read(tmp_path / "report", tls / "ca.pem")


def test_a_server_of_another_authority_is_not_believed(tmp_path: Path, tls: Path) -> None:
    report = made.written(tmp_path / "report", tls)
    credentials.ensure(tmp_path / "others", ["localhost"])
    with pytest.raises(Refused, match=r"not known to the authority .*; name the output `ca_certificate`"):
        drift_report.read(report, tmp_path / "others" / "ca.pem")


def test_a_server_is_no_authority(tmp_path: Path, tls: Path) -> None:
    """Whoever has a server's key cannot vouch for another key."""
    report = made.written(tmp_path / "report", tls)
    with pytest.raises(Refused, match="own certificate is no authority"):
        drift_report.read(report, tls / "server.pem")


def test_a_server_cannot_vouch_for_another_key(tmp_path: Path, tls: Path) -> None:
    server = x509.load_pem_x509_certificate((tls / "server.pem").read_bytes())
    its_key = serialization.load_pem_private_key((tls / "server.key").read_bytes(), None)
    assert isinstance(its_key, ec.EllipticCurvePrivateKey)
    stranger = ec.generate_private_key(ec.SECP256R1())
    begin, end = server.not_valid_before_utc, server.not_valid_after_utc
    forged = builder(server.subject, server.subject, stranger.public_key(), begin, end)
    certificate = forged.serial_number(7).sign(its_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (tmp_path / "forged.pem").write_bytes(certificate.public_bytes(pem) + server.public_bytes(pem))
    kind, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "forged.key").write_bytes(stranger.private_bytes(pem, kind, plain))
    report = drift_report.of_windows(made.asking(), made.RELEASE, 10_000)
    (tmp_path / "report").write_bytes(
        drift_report.signed(report, tmp_path / "forged.pem", tmp_path / "forged.key")
    )
    with pytest.raises(Refused, match="not known to the authority"):
        drift_report.read(tmp_path / "report", tls / "ca.pem")


def test_a_certificate_has_to_be_valid_when_the_report_was_made(tmp_path: Path, tls: Path) -> None:
    late = [made.window(100 * 96 * number, 50_000) for number in range(8)]
    with pytest.raises(Refused, match="not valid at validation time"):
        drift_report.read(made.written(tmp_path / "report", tls, late), tls / "ca.pem")


def test_another_kind_of_key_is_named_with_the_way_out(tmp_path: Path, tls: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "rsa.pem").write_bytes(pem)
    report = drift_report.of_windows(made.asking(), made.RELEASE, 10_000)
    with pytest.raises(InputError, match="--certificate and --private-key"):
        drift_report.signed(report, tls / "server.pem", tmp_path / "rsa.pem")


def test_another_certificates_key_signs_nothing(tmp_path: Path, tls: Path) -> None:
    other = credentials.ensure(tmp_path, ["localhost"]).directory
    report = drift_report.of_windows(made.asking(), made.RELEASE, 10_000)
    with pytest.raises(InputError, match="is not the key of the certificate"):
        drift_report.signed(report, tls / "server.pem", other / "server.key")


def test_it_has_no_field_for_text(tmp_path: Path, tls: Path) -> None:
    told = json.loads(made.written(tmp_path / "report", tls).read_bytes())["report"]
    numbers = {"format", "windows", "asking", "windows_per_false_alarm", "sites"}
    assert told.keys() == numbers | {"drift", "picture"}
    assert told["sites"] is None, "a server by itself is no site of others"
