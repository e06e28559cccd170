"""One host's link breaks in the middle of site.yml, between any two tasks."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.ansible.site.conftest import RECIPE, SERVING

if TYPE_CHECKING:
    from lab.premises.host import Host
    from tests.ansible.conftest import Ran
    from tests.ansible.site.conftest import Served, ServingSite

pytestmark = pytest.mark.soak
NAMED_WITHIN_S = 60.0


# `make test` cuts links of sites: tests/end_to_end/test_s4_cloud_serving.py, tests/lab/premises/test_wan.py.
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("cuts", [20])
def test_a_cut_link_is_named_others_are_whole_and_the_next_run_goes_on(site: ServingSite, cuts: int) -> None:
    moments = random.Random("links")
    last = site.tasks * 3 // 4  # of the first run, which had more to do than any that follows
    for number in range(cuts):
        lost, boundary = moments.choice(site.hosts), moments.randint(1, last)
        before = {host.name: site.served(host) for host in site.servers}
        # New settings for the servers each time; now and then a new release too, which is trained first.
        site.variables["serving"] = {**SERVING, "limits": {"requests_per_minute": 2000 + number}}
        if number % 4 == 3:
            site.variables["recipe"] = {**RECIPE, "seed": 100 + number}
        ran, cut = site.run_with_a_cut(lost, boundary)
        assert cut
        tell(number, lost, ran, cut, site.events())
        for host in site.servers:
            if host != lost:
                assert_whole(site.served(host), before[host.name], site.variables["serving"])
        if ran.code:
            site.run("site.yml")
        again = site.run("site.yml")
        assert again.changes() == 0, again.where
        last = again.tasks
        for host in site.servers:
            now = site.served(host)
            assert_whole(now, now, site.variables["serving"])
            assert now.settings["limits"] == site.variables["serving"]["limits"]
            assert now.loose_ends == ()


def tell(number: int, lost: Host, ran: Ran, cut: float, events: list[dict[str, Any]]) -> None:
    """Say how it went, and insist that the host was named in time: after the first task that needed it."""
    stopped = next(each for each in events if each["event"] == "stopped")
    before = sum(each["event"] == "task" and each["at"] <= stopped["at"] for each in events)
    place = f"cut {number + 1}: {lost.name} before task {before}, {stopped['task']!r}"
    if not ran.code:
        print(f"{place}: nothing needed it any more")
        return
    assert f"[{lost.name}" in ran.output or f"-> {lost.name}" in ran.output, ran.output[-3000:]
    named = next(each for each in events if each["event"] == "unreachable")
    begun = max(
        each["at"]
        for each in events
        if (each["event"], each["task"], each.get("host")) == ("start", named["task"], named["host"])
        and each["at"] < named["at"]
    )
    waited = named["at"] - max(begun, cut)
    since = named["at"] - cut
    print(f"{place}: named {waited:.0f} s after {named['task']!r} began, {since:.0f} s after the cut")
    assert waited < NAMED_WITHIN_S


def assert_whole(now: Served, before: Served, wanted: dict[str, Any]) -> None:
    """What a host serves with is all of one piece: as it was, or as it shall be."""
    pid, needs_reload = now.process.split()
    assert needs_reload == "no"
    assert now.defined == now.running, "it runs with what its unit says"
    limits = now.settings.get("limits")
    if now.running == before.running:
        assert limits == before.settings.get("limits")
    else:
        assert limits == wanted["limits"]
        assert pid != before.process.split()[0]
