"""`s4-cloud-serving`: a cluster as the cloud, sites of one host each, and the link between them, in the lab."""

from __future__ import annotations

import contextlib
import json
import shlex
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import httpx
import pytest

from lab import serving_addons
from lab.cloud_serving import NAMESPACE, STACK
from lab.premises.access import ssh
from lab.premises.wan import Wan
from tests.campaigns import campaign, sizes
from tests.end_to_end.fleet import NAME, Fleet, fleet_of, put_behind_a_gateway
from tests.end_to_end.rollout import Load, Spilling, signed_by_one_key
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.compose import Lab
    from lab.kubernetes.cluster import Cluster
    from tests.built_runtime import BuiltRuntime

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


WHOLE = 3


@pytest.fixture(scope="module", params=sizes(2, soak=WHOLE))
def fleet(
    request: pytest.FixtureRequest,
    lab: Lab,
    cluster: Cluster,
    tiny_checkpoint: Path,
    runtime: BuiltRuntime,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    """The stack as the lab's helper shapes it, with a release made by hand; nothing of it is left afterwards.

    In the whole campaign its endpoint is behind a Gateway, and scaled by KEDA.
    """
    folder = tmp_path_factory.mktemp("s4")
    releases = signed_by_one_key(folder, tiny_checkpoint, 4)
    changes = {"inference": {"route": "local-first", "spill_at": 1}}
    with fleet_of(lab, cluster, runtime, folder, releases, request.param, **changes) as made:
        if request.param == WHOLE:
            put_behind_a_gateway(made.clone, made.premises, cluster)
        made.clone.said = made.clone.run("make", "up", f"STACK={STACK}").stdout
        yield made


def test_both_sides_are_up_and_every_site_answers_locally(fleet: Fleet) -> None:
    outputs = fleet.clone.outputs()
    assert [each["name"] for each in outputs["sites"]] == fleet.sites
    assert fleet.is_everywhere()
    wan = Wan(fleet.premises.space)
    wan.cut()
    try:
        with fleet.clone.client() as openai:
            answer = openai.completions.create(
                model="assistant", prompt="One, two,", max_tokens=4, extra_body={"ignore_eos": True}
            )
        assert answer.usage
        assert answer.usage.completion_tokens == 4
    finally:
        wan.restore()
    fleet.clone.pulumi("preview", "--expect-no-changes")


ASK = """
import json, ssl, sys, urllib.request
url, key, ca = sys.argv[1:]
body = json.dumps({"model": "assistant", "prompt": "One, two,", "max_tokens": 4}).encode()
headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
asked = urllib.request.Request(url + "/completions", body, headers)
with urllib.request.urlopen(asked, context=ssl.create_default_context(cadata=ca), timeout=60) as answer:
    print(answer.headers["x-release"])
"""


def test_a_client_on_the_premises_may_ask_the_hosted_endpoint_itself(fleet: Fleet) -> None:
    outputs, host = fleet.clone.outputs(), fleet.premises.hosts[1]
    given = [outputs["cloud_endpoint"], outputs["cloud_api_key"], outputs["ca_certificate"]]
    command = shlex.join(["python3", "-c", ASK, *given])
    assert ssh(host.folder, host.address, command, timeout_s=90).strip() == fleet.release


def test_under_overload_only_what_may_leave_goes_to_the_cloud_and_the_audit_log_has_each(
    fleet: Fleet,
) -> None:
    outputs = fleet.clone.outputs()
    tls = ssl.create_default_context(cadata=outputs["ca_certificate"])
    body = {"model": "assistant", "prompt": "One, two,", "max_tokens": 64, "ignore_eos": True}

    def ask(number: int) -> str:
        headers = {"Authorization": f"Bearer {outputs['api_key']}"}
        headers |= {"X-Data-Class": "may-leave"} if number % 2 else {}
        url = f"{outputs['endpoint']}/completions"
        answer = httpx.post(url, json=body, headers=headers, verify=tls, timeout=120)
        answer.raise_for_status()
        return str(answer.headers["x-computed-at"])

    with ThreadPoolExecutor(24) as pool:
        places = list(pool.map(ask, range(24)))
    assert set(places[::2]) == {"site"}
    assert "cloud" in places
    host = fleet.premises.hosts[1]
    log = ssh(
        host.folder, host.address, "sudo sh -c 'cat /var/lib/model-deployment-scenarios/inference/audit/*'"
    )
    crossed = [json.loads(line) for line in log.splitlines()]
    assert [each["kind"] for each in crossed].count("request") == places.count("cloud")
    assert "One, two" not in log


@campaign("cut", True, soak=False)
def test_a_release_goes_ring_by_ring_to_all_sites_under_load_without_a_failed_request(
    fleet: Fleet, cut: bool
) -> None:
    """`cut`: it is published while the sites have no link, and they catch up when it is back."""
    wan = Wan(fleet.premises.space)
    try:
        with Load(fleet.clone) as load:
            if cut:
                wan.cut()
            fleet.publish()
            time.sleep(10)
            wan.restore()
            until(fleet.is_everywhere, timeout_s=600)
            time.sleep(2)
    finally:
        wan.restore()
    assert load.failed == []
    assert load.answered > 20
    assert fleet.clone.outputs()["release"] == fleet.release
    fleet.clone.pulumi("preview", "--expect-no-changes")
    refreshed = fleet.clone.pulumi("refresh", "--yes", "--skip-preview").stdout
    assert "drift" not in refreshed, "what agents do is no drift"


@pytest.mark.parametrize(
    "fleet", [pytest.param(WHOLE, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])], indirect=True
)
def test_under_load_the_endpoint_gets_another_pod_and_loses_it_again_without_a_failed_request(
    fleet: Fleet,
) -> None:
    outputs = fleet.clone.outputs()
    assert fleet.cluster.own
    url = outputs["cloud_endpoint"].replace(NAME, fleet.cluster.own.addresses.cloud_inside) + "/completions"
    tls = ssl.create_default_context(cadata=outputs["ca_certificate"])
    body = {"model": "assistant", "prompt": "One, two,", "max_tokens": 256, "ignore_eos": True}
    over = Event()

    def ask_on() -> list[int]:
        headers = {"Authorization": f"Bearer {outputs['cloud_api_key']}", "Host": NAME}
        said = []
        while not over.is_set():
            # A connection each: a Gateway that passes TLS through spreads connections, not requests.
            with httpx.Client(verify=tls, timeout=120) as http:
                asked = http.post(url, json=body, headers=headers, extensions={"sni_hostname": NAME})
                said.append(asked.status_code)
        return said

    assert fleet.pods("endpoint") == 1
    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask_on) for _ in range(8)]
        try:
            until(lambda: fleet.pods("endpoint") == 2, timeout_s=600)
            time.sleep(20)
        finally:
            over.set()
        said = [each for one in asking for each in one.result()]
    assert set(said) == {200}
    fleet.clone.pulumi("preview", "--expect-no-changes")
    until(lambda: fleet.pods("endpoint") == 1, timeout_s=900)


@pytest.mark.parametrize(
    "fleet", [pytest.param(WHOLE, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])], indirect=True
)
def test_an_endpoint_that_nobody_uses_sleeps_and_an_overloaded_site_wakes_it_without_a_failed_request(
    fleet: Fleet,
) -> None:
    fleet.scale(idle_seconds=60)
    try:
        until(lambda: fleet.pods("endpoint") == 0, timeout_s=300)
        fleet.clone.pulumi("preview", "--expect-no-changes")
        with Load(fleet.clone) as load, Spilling(fleet.clone) as spilling:
            began = time.monotonic()
            until(lambda: spilling.places["cloud"] > 0, timeout_s=300)
            awake = time.monotonic() - began
            time.sleep(20)
        print(f"awake after {awake:.0f} s: {load.answered} answered, {dict(spilling.places)}")
        assert load.failed == []
        assert spilling.failed == []
        until(lambda: fleet.pods("endpoint") == 0, timeout_s=600)
    finally:
        # Asleep, it is to have pods again although nobody wishes for it.
        fleet.scale()
    assert fleet.pods("endpoint") >= 1


@pytest.mark.parametrize(
    "fleet", [pytest.param(WHOLE, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])], indirect=True
)
def test_whatever_is_killed_in_the_cloud_clients_of_a_site_get_answers_and_all_comes_back(
    fleet: Fleet,
) -> None:
    """One after the other, under load, of which a part spills to the cloud: also while it is away, its line silent."""
    wan = Wan(fleet.premises.space)

    @contextlib.contextmanager
    def killed(namespace: str, selector: str = "") -> Iterator[None]:
        fleet.kill(namespace, selector)
        yield

    @contextlib.contextmanager
    def cut() -> Iterator[None]:
        wan.cut()
        try:
            yield
        finally:
            wan.restore()

    component, gateway = "app.kubernetes.io/component", "gateway.envoyproxy.io/owning-gateway-name"
    for what, befalls in {
        "pod": killed(NAMESPACE, f"{component}=endpoint"),
        "scaler": killed("keda"),
        "gateway's proxy": killed(serving_addons.GATEWAY["proxies"], gateway),
        "catalogue": killed(NAMESPACE, f"{component}=catalogue"),
        "bucket": fleet.bucket_away(),
        "link": cut(),
    }.items():
        answered_while(fleet, what, befalls)
    # Under load: a ring whose sites answer nothing is not judged.
    with Load(fleet.clone):
        fleet.publish()
        until(fleet.is_everywhere, timeout_s=600)


def answered_while(fleet: Fleet, what: str, befalls: contextlib.AbstractContextManager[None]) -> None:
    with Load(fleet.clone) as load, Spilling(fleet.clone) as spilling:
        time.sleep(10)
        with befalls:
            time.sleep(40)
        before = spilling.places["cloud"]
        until(lambda: fleet.pods("endpoint") >= 1 and fleet.pods("catalogue") == 2, timeout_s=300)
        until(lambda: spilling.places["cloud"] > before, timeout_s=300)
    print(f"{what}: {load.answered} answered, {dict(spilling.places)}, {spilling.slowest:.1f} s at most")
    assert load.failed == [], what
    assert spilling.failed == [], what
