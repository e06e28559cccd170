"""Private AI on hosts of their own, by Pulumi: bare Debian hosts with systemd and no way out, in the lab.

One host trains (`s3-local`); two others, managed and closed, serve what it released behind one endpoint
(`s1-local-serving`).
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.premises.wan import Wan
from tests.ansible.hosts.watch import at_the_router, try_all, watch
from tests.campaigns import sizes
from tests.end_to_end.conftest import make_clone
from tests.end_to_end.rollout import Load, offered, signed
from tests.end_to_end.site import (
    OF_THE_OTHER_STACK,
    SERVING,
    Site,
    client,
    deployed,
    every_setting_of_a_server,
    settings,
    what_trains,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.premises.host import Host
    from tests.built_runtime import BuiltRuntime

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module", params=sizes(1, soak=2))
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_checkpoint: Path,
    runtime: BuiltRuntime,
) -> Iterator[Site]:
    """Both stacks up; in the whole campaign two hosts train. At the end the hosts are as they were."""
    with deployed(tmp_path_factory.mktemp("hosts"), tiny_checkpoint, runtime, request.param) as site:
        yield site


@pytest.fixture(scope="module")
def watched(site: Site) -> Host:
    """The first of the closed hosts; the router counts what it sends."""
    host = site.premises.hosts[1]
    watch(host, site.premises.space)
    return host


def test_what_one_host_trained_two_others_serve_behind_one_endpoint(site: Site) -> None:
    release = site.trains.outputs()["release"]
    assert site.serves.outputs()["release"] == release
    assert site.serves.outputs()["endpoint"].endswith(":9443/v1")
    with site.serves.client() as openai:
        answer = openai.chat.completions.create(
            model="assistant", messages=[{"role": "user", "content": "Hello?"}], max_tokens=4
        )
    assert answer.usage
    with client(site.serves) as http:
        ready = http.get("/readyz")
        assert (ready.status_code, ready.headers["x-release"]) == (200, release)
        assert http.get("/metrics").status_code == 404, "the balancer passes on what is for clients"
        assert http.get("/v1/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
    for clone in (site.trains, site.serves):
        clone.pulumi("preview", "--expect-no-changes")


def test_services_are_protected_and_each_host_comes_back_by_itself(site: Site) -> None:
    lifecycles = [(0, "lifecycle")] if len(site.training) == 1 else []
    for number, service in (
        *lifecycles,
        (0, "inference"),
        (1, "inference"),
        (1, "balancer"),
        (2, "inference"),
    ):
        unit = site.on(number, f"systemctl list-units --plain --no-legend '{service}-*.service'").split()[0]
        told = site.on(number, f"systemd-analyze security --no-pager {unit} | tail -1")
        assert float(told.split(":")[1].split()[0]) < 3.0, told
        assert site.on(number, f"systemctl show --property=User --value {unit}").strip() == "scenario"
    unit = site.on(2, "systemctl list-units --plain --no-legend 'inference-*.service'").split()[0]
    killed = site.on(2, f"systemctl show --property=MainPID --value {unit}").strip()
    site.on(2, f"sudo kill -9 {killed}")
    with client(site.serves) as http:
        assert http.get("/readyz").status_code == 200, "the other host answers meanwhile"
        deadline = time.monotonic() + 120
        while site.on(2, f"systemctl show --property=MainPID --value {unit}").strip() in {"0", killed}:
            assert time.monotonic() < deadline
            time.sleep(1)


def test_a_lifecycle_watches_the_server_and_has_the_signing_key_from_systemd_alone(site: Site) -> None:
    if len(site.training) > 1:
        assert not site.on(0, "systemctl list-unit-files --plain --no-legend 'lifecycle-*'")
        return
    unit = site.unit(0, "lifecycle")
    root = (
        site.on(0, f"systemctl show --property=ReadWritePaths --value {unit}").split()[0].rpartition("/")[0]
    )
    program = f"{root}/runtime/current/bin/python -m scenario_model"
    deadline = time.monotonic() + 60
    while "watch: " not in (said := site.on(0, f"sudo journalctl --no-pager --output=cat --unit={unit}")):
        assert time.monotonic() < deadline, said
        time.sleep(1)
    assert "tried again" not in said
    assert site.on(0, f"systemctl show --property=NRestarts --value {unit}").strip() == "0"
    readable = f"sudo -u scenario test -r {root}/keys/release-signing.pem && echo yes; true"
    assert site.on(0, readable) == "", "a server that is taken over signs nothing"
    history = site.on(0, f"sudo {program} lifecycle history --config {root}/lifecycle/lifecycle.json --json")
    assert json.loads(history) == {"entries": []}
    # What it would do if somebody had to say yes: nothing was asked for, and the answer says so.
    refused = site.on(
        0, f"sudo {program} lifecycle approve --config {root}/lifecycle/lifecycle.json 2>&1; true"
    )
    assert "nothing waits for approval" in refused
    report = f"report write --config {root}/inference/serve.json --out /root/report.json"
    told = site.on(0, f"sudo {program} {report} 2>&1; sudo rm -f /root/report.json")
    # A window is over a quarter of an hour after the server's start: before or after this test.
    assert "with detectors is over yet" in told or told.strip().endswith("asks for nothing"), told


def test_the_hosts_are_closed_first_and_admitted_before_they_serve(site: Site) -> None:
    exported = json.loads(site.serves.pulumi("stack", "export").stdout)["deployment"]["resources"]
    found = {each["urn"].rpartition("::")[2]: each for each in exported}
    needed = {
        name: {urn.rpartition("::")[2] for urn in each.get("dependencies", [])}
        for name, each in found.items()
    }
    for name, before in (("hosts", "preflight"), ("runtime", "hosts"), ("validation", "runtime")):
        # The stack that the release comes from, and this one's identity.
        assert needed[name] - {"release", "stack"} == {before}
    assert "validation" in needed["serving"]
    told = set(found["hosts"]["inputs"]["variables"])
    assert not told & {"release_given", "release_name"}, "another release is no reason to touch them"
    admission = site.serves.outputs()["admission"]
    assert set(admission) == {"premises-2", "premises-3"}
    for verdict in admission.values():
        assert (verdict["admitted"], verdict["failures"]) == (True, [])
        (device,) = verdict["devices"]
        assert device["name"] == "CPU"
        assert 0.001 < device["matmul_tflops"] < 1000


def test_a_host_below_the_floor_is_not_admitted_and_named(site: Site) -> None:
    file = site.serves.path / "ansible" / "inventory" / f"{site.serves.stack}.yml"
    written = file.read_text()
    file.write_text(written.replace("gpu_validation_cpu_gflops: 0.01", "gpu_validation_cpu_gflops: 1000000"))
    try:
        up = site.serves.pulumi("up", "--yes", "--skip-preview", "--target", "**::validation", check=False)
    finally:
        file.write_text(written)
    assert up.returncode
    said = " ".join(up.stdout.split())
    for name in ("premises-2", "premises-3"):
        assert re.search(rf"{name} is not admitted to inference: CPU 0: matmul \S+ TFLOP/s, floor", said)


def test_nothing_goes_out_or_comes_in_but_what_is_listed(site: Site, watched: Host) -> None:
    space = site.premises.space
    before = at_the_router(space)
    tried = try_all(watched)
    assert len(tried) == 9
    assert "went through" not in tried.values(), tried
    assert at_the_router(space) == before, tried
    with client(site.serves) as http:
        assert http.get("/readyz").status_code == 200
    for number in (1, 2):
        with pytest.raises(OSError, match="timed out"):
            socket.create_connection((site.premises.hosts[number].address, 8443), timeout=2)


# `make test` sees and mends what somebody edited role by role: tests/ansible/hosts, tests/ansible/test_site.py.
@pytest.mark.soak
def test_rules_units_and_services_that_somebody_changed_show_in_refresh_and_are_mended(
    site: Site, watched: Host
) -> None:
    space, router = site.premises.space, watched.addresses.router
    rules = "sudo nft --stateless list ruleset"
    ping = f"ping -c1 -W2 {router} >/dev/null && echo through; true"
    stopped = {
        1: ("prometheus", site.unit(1, "balancer")),
        2: ("prometheus-node-exporter", site.unit(2, "inference")),
    }
    before, seen = site.on(1, rules), at_the_router(space)
    site.on(1, f"sudo nft insert rule inet scenario_egress output ip daddr {router} accept")
    assert site.on(1, ping) == "through\n"
    assert at_the_router(space)["four"] == seen["four"] + 1, "what goes out is seen"
    site.on(
        1, "echo '# somebody was here' | sudo tee -a /etc/systemd/system/scenario-egress.service >/dev/null"
    )
    for number, units in stopped.items():
        site.on(number, f"sudo systemctl stop {' '.join(units)}")

    shown = site.serves.pulumi("refresh", "--preview-only", "--diff").stdout
    drift = set(re.findall(r'\[\d+\]: "(\w+ : .*?)(?: \(.*\))?"', shown))
    assert drift == {
        "egress : Load the rules",
        "egress : Write the unit that loads them at boot",
        "monitoring : Run Prometheus",
        "monitoring : Run the exporters",
        "service : Run balancer",
        "service : Run inference",
    }, shown[-6000:]
    assert site.on(1, ping) == "through\n", "a preview mends nothing"

    site.serves.pulumi("up", "--yes", "--skip-preview", "--refresh")
    assert site.on(1, rules) == before
    seen = at_the_router(space)
    assert site.on(1, ping) == ""
    assert at_the_router(space) == seen
    assert "somebody" not in site.on(1, "cat /etc/systemd/system/scenario-egress.service")
    for number, units in stopped.items():
        assert site.on(number, f"systemctl is-active {' '.join(units)}").split() == ["active", "active"]
    site.serves.pulumi("preview", "--expect-no-changes")


def test_releases_settings_and_the_authority_change_host_by_host_without_a_failed_request(
    site: Site, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    for name in ("next", "broken"):
        (tmp_path / name).mkdir()
    following = signed(tmp_path / "next", tiny_checkpoint)
    broken = signed(tmp_path / "broken", tiny_checkpoint, broken=True)
    before = site.serves.outputs()
    try:
        with offered(Path(following.pop("path"))) as url:
            roll_out(site, before["release"], following | {"kind": "url", "url": url}, broken)
        change_all_else(site)
        assert site.serves.outputs()["ca_certificate"] != before["ca_certificate"]
    finally:  # settings alone, and so each of them; whatever became of it, the other tests meet what they expect
        with Load(site.serves, trusting=True) as load:
            settings(site.serves, release=OF_THE_OTHER_STACK, serving=SERVING)
            site.serves.pulumi("up", "--yes", "--skip-preview")
    assert load.failed == []
    site.serves.pulumi("preview", "--expect-no-changes")


def roll_out(site: Site, before: str, following: dict[str, str], broken: dict[str, str]) -> None:
    """Under a steady load: the following release everywhere, the broken one on no host but the first."""
    with Load(site.serves) as load:
        settings(site.serves, release=following, serving=SERVING)
        site.serves.pulumi("up", "--yes", "--skip-preview")
    assert load.failed == []
    assert load.releases == {before, following["id"]}

    untouched = site.on(2, "systemctl show --property=MainPID --value 'inference-*.service'")
    with Load(site.serves) as load:
        settings(site.serves, release=broken, serving=SERVING)
        said = " ".join(site.serves.pulumi("up", "--yes", "--skip-preview", check=False).stdout.split())
    assert f"It serves {following['id']} as before; hosts after it were not touched" in said, said[-3000:]
    assert "premises-2" in said
    assert load.failed == []
    assert load.releases == {following["id"]}
    assert site.on(2, "systemctl show --property=MainPID --value 'inference-*.service'") == untouched
    assert "it exited 3 times before it was ready" in said


def change_all_else(site: Site) -> None:
    """In one update under load: the release that was served before, every setting, and another authority."""
    with Load(site.serves, trusting=True) as load:
        changed = every_setting_of_a_server(site.premises.hosts[1].address)
        settings(site.serves, release=OF_THE_OTHER_STACK, serving=changed)
        site.serves.pulumi("up", "--yes", "--skip-preview", "--replace", "**::authority")
        assert "8445" in site.on(2, "sudo ss --listening --tcp --numeric")
    assert load.failed == []
    assert load.answered > 20
    with client(site.serves) as http:
        assert http.get("/readyz").status_code == 200


# `make test` lets sockets wait for the next server in tests/model/serve/test_kept_socket.py.
@pytest.mark.soak
def test_a_server_without_a_balancer_changes_without_a_failed_request_too(site: Site) -> None:
    # Where it listens is where clients find it.
    changed = every_setting_of_a_server(site.premises.hosts[0].address) | {"port": 8443}
    unit = site.unit(0, "inference")
    started = site.on(0, f"systemctl show --property=ExecMainStartTimestampMonotonic --value {unit}")
    before = site.trains.outputs()["ca_certificate"]
    try:
        with Load(site.trains, trusting=True) as load:
            what_trains(site, serving=changed)
            site.trains.pulumi("up", "--yes", "--skip-preview", "--replace", "**::authority")
        assert load.failed == []
        assert load.answered > 20
        assert site.trains.outputs()["ca_certificate"] != before
        assert (
            site.on(0, f"systemctl show --property=ExecMainStartTimestampMonotonic --value {unit}") != started
        )
    finally:  # settings alone, and so each of them
        with Load(site.trains, trusting=True) as load:
            what_trains(site)
            site.trains.pulumi("up", "--yes", "--skip-preview")
    assert load.failed == []
    site.trains.pulumi("preview", "--expect-no-changes")


def test_a_controller_without_a_network_takes_engine_and_packages_from_the_bundle(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "behind").mkdir()
    behind = make_clone(tmp_path / "behind")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "BUNDLE": str(site.trains.path / ".state" / "bundle"),
        "BUNDLE_KEY": str(site.trains.path / ".state" / "bundle-key" / "bundle-verification.pem"),
    }
    shell = 'eval "$(make -s env)" && pulumi version && python -c "import pulumi, ansible_runner"'
    done = subprocess.run(
        ["unshare", "--net", "bash", "-euc", shell],
        cwd=behind.path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "(bundle)" in done.stderr
    assert done.stdout.startswith("v3.")


def test_nothing_left_the_premises(site: Site) -> None:
    assert [name for name, traffic in Wan(site.premises.space).capture().items() if traffic.sent] == []
