"""A release over a bad line: what was received once is not received again, and what a cut costs is bounded."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from benchmarks.bad_link import Measured, arguments, compare
from tests.campaigns import campaign
from tests.model.release.oci.world import program

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes network namespaces"),
    pytest.mark.skipif(
        not shutil.which("tc") or not shutil.which("nft"), reason="needs iproute2 and nftables"
    ),
]

SMALL = ("--megabytes", "4", "--kbit", "12000", "--cuts", "2", "--silence", "0.3")
WHOLE = ("--megabytes", "270", "--kbit", "1000", "--cuts", "20", "--silence", "5")
# TLS adds a sixth of a percent. What was on its way when the line was cut is lost: the queue of 50 kB, what waits at
# the site for a packet that was lost before it, and a part of a record. 20 such cuts of 270 MB are 1.2 percent.
TLS, LOST_WITH_A_CUT = 1.003, 160_000


@campaign("line", SMALL, soak=WHOLE, hours=4)
def test_a_cut_costs_what_was_on_its_way_and_nothing_that_had_arrived(
    cache: Path, tmp_path: Path, line: tuple[str, ...]
) -> None:
    built = [program(cache, name) for name in ("registry", "oras")]
    found = {each.way: each for each in compare(tmp_path, arguments(list(line)), *built)}
    for ours in (found["catalogue"], found["pull"]):
        assert (ours.starts, ours.received) == (1, ours.size)
        assert ours.cuts > 0
        assert ours.content <= ours.size * TLS + ours.cuts * LOST_WITH_A_CUT, found
    oras: Measured = found["oras"]
    assert oras.starts > 1, "it does not continue: whoever uses it starts it again"
    assert oras.content > found["catalogue"].content
    if line is WHOLE:
        assert max(found["catalogue"].ratio, found["pull"].ratio) <= 1.02
