"""Exporters on each host, Prometheus with alert rules on one; a host that is not measured is named."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.ansible.conftest import PLAYBOOKS
from tests.ansible.hosts.conftest import on, traces
from tests.ansible.hosts.packages import folder_of
from tests.planted import Arguments, files_below, leaks
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ansible.hosts.conftest import Site


KEY = "sk-the-key-that-nobody-is-to-read"


@pytest.fixture(scope="module")
def debs(cache: Path) -> Path:
    """Prometheus and its exporter for hosts, with what they need."""
    return folder_of(cache, "prometheus", "prometheus-node-exporter")


def ask(site: Site, path: str) -> list[Any]:
    """What Prometheus answers on the first host."""
    program = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:9090{path}').read().decode())"
    told: dict[str, Any] = json.loads(on(site.hosts[0], f'python3 -c "{program}"'))["data"]
    (found,) = (value for value in told.values() if isinstance(value, list))
    return list(found)


def measured_hosts(site: Site) -> list[str]:
    """Which hosts Prometheus has an answer from."""
    found = ask(site, "/api/v1/query?query=up%7Bjob=%22hosts%22%7D%20==%201")
    return sorted(each["metric"]["host"] for each in found)


@pytest.fixture(scope="module")
def measured(site: Site, debs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Both hosts after the role; the key and the authority of the service are given."""
    ca, key = (tmp_path_factory.mktemp("ca") / name for name in ("ca.pem", "ca.key"))
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2"]
    subprocess.run([*make, "-out", ca, "-keyout", key], check=True, capture_output=True)
    mine = {"packages_folder": str(debs), "monitoring_interval_seconds": 2, "monitoring_api_key": KEY}
    site.variables |= mine | {"monitoring_ca_certificate": ca.read_text()}
    clean = [traces(host) for host in site.hosts]
    foreseen = site.play("monitoring", check=True)
    assert [traces(host) for host in site.hosts] == clean, "a check changes nothing"
    with Arguments() as arguments:
        ran = site.play("monitoring")
    assert sorted(ran.changed) == sorted(foreseen.changed)
    texts = {"check": foreseen.output.encode(), "run": ran.output.encode()}
    texts["arguments"] = b"\n".join(arguments.seen)
    for host in site.hosts:
        texts[f"journal of {host.name}"] = on(host, "sudo journalctl --output json --no-pager").encode()
        texts |= files_below(host.home / "upper")
    in_place = site.hosts[0].home / "upper/etc/scenario-monitoring/api_key"
    assert {place for place, _ in leaks(texts, [KEY])} == {str(in_place)}
    yield site
    site.play("monitoring", reset=True)
    assert [traces(host) for host in site.hosts] == clean
    for name in [*mine, "monitoring_ca_certificate"]:
        del site.variables[name]


# `make test` measures hosts in tests/end_to_end/test_premises_hosts.py.
@pytest.mark.soak
def test_every_host_is_measured_and_a_second_run_changes_nothing(measured: Site) -> None:
    assert measured_hosts(measured) == ["premises-1", "premises-2"]
    rules = [rule["name"] for group in ask(measured, "/api/v1/rules") for rule in group["rules"]]
    assert {"HostDown", "GpuXid", "ServiceNotReady", "FirstTokenSlow"} <= set(rules)
    assert on(measured.hosts[0], "sudo stat -c '%a %G' /etc/scenario-monitoring/api_key") == "640 prometheus"
    again = measured.play("monitoring")
    assert again.changes() == 0, again.changed


@pytest.mark.soak
def test_a_host_that_is_not_measured_fails_the_play_by_name(measured: Site) -> None:
    second = measured.hosts[1]
    # It runs, and nobody reaches it.
    chain = "type filter hook input priority 0; tcp dport 9100 drop;"
    on(second, f"echo 'table inet closed {{ chain input {{ {chain} }}; }}' | sudo nft -f -")
    try:
        ran = measured.play("monitoring", succeeds=False)
    finally:
        on(second, "sudo nft delete table inet closed")
        until(lambda: len(measured_hosts(measured)) == 2)
    assert ran.code
    assert "Prometheus on premises-1 does not scrape premises-2: is" in " ".join(ran.output.split())


@pytest.mark.slow
def test_alerts_come_when_they_should(debs: Path, tmp_path: Path) -> None:
    (package,) = debs.glob("prometheus_*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path], check=True)
    rules = PLAYBOOKS / "roles/monitoring/files/alerts.yml"
    cases = Path(__file__).with_name("alerts.yml").read_text().replace("RULES", json.dumps(str(rules)))
    (tmp_path / "cases.yml").write_text(cases)
    done = subprocess.run(
        [tmp_path / "usr/bin/promtool", "test", "rules", tmp_path / "cases.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
