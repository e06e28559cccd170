"""The status page: what it says, and that nothing in it comes from elsewhere or can act."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from scenario_model.status.page import Facts, page
from tests.model.observe.test_windows import ONE

OLD, NEW = (f"assistant@sha256:{digit * 64}" for digit in "01")
WINDOW = replace(
    ONE,
    start=1_700_000_000.0,
    seconds=900.0,
    release=OLD,
    signals=[
        ("outlying", 3.0, 25_000.0),
        ("reference", 0.0, 50_000.0),
        ("changed", 5e4, 1e5),
        ("novel", 2e5, 1e5),
    ],
    asks="warning",
)
FACTS = Facts(
    release=NEW,
    windows=[
        *(replace(WINDOW, start=WINDOW.start + 900 * number, asks="nothing") for number in range(20)),
        *(replace(WINDOW, start=WINDOW.start + 900 * number, release=NEW) for number in range(20, 40)),
    ],
    history=[("2026-11-29T12:00:00+00:00", "promoted", NEW, "500 requests, and by no measure worse")],
    canary={},
    promise=["without a change, at most one alarm in 10,000 windows"],
)


class Read(HTMLParser):
    """What is in a page; unclosed or crossed elements are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if (tag, name) == ("a", "href"):
                assert value in {"?", "?live"}, "the page leads to itself alone"
            else:
                assert name not in {"src", "href", "xlink:href", "action"}, value
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_it_has_three_charts_and_says_in_words_what_they_show() -> None:
    read = Read(page(FACTS))
    text = " ".join(read.words)
    assert read.seen.count("svg") == 3
    assert read.seen.count("title") == 4, "one for the page, and one for each chart"
    assert "One detector alarms" in text
    assert "500 requests, and by no measure worse" in text
    assert "at most one alarm in 10,000 windows" in text
    assert {"h1", "main", "table", "th"} <= set(read.seen)
    assert "script" not in read.seen


def test_every_point_of_every_chart_is_on_it() -> None:
    for x, y in re.findall(
        r"(-?\d+\.?\d*),(-?\d+\.?\d*)", " ".join(re.findall(r'points="([^"]*)"', page(FACTS)))
    ):
        assert 0 <= float(x) <= 720
        assert 0 <= float(y) <= 170


def test_words_from_outside_are_words_and_nothing_else() -> None:
    evil = "<script>alert(1)</script>"
    facts = replace(
        FACTS,
        history=[(evil, evil, evil, evil)],
        canary={"release": evil, "state": evil, "why": evil, "canary": 1, "running": 2},
        windows=[replace(WINDOW, release=evil, signals=[(evil, 1.0, 2.0)], asks=evil)],
        promise=[evil],
    )
    assert "script" not in Read(page(facts)).seen


def test_a_server_that_is_new_says_so() -> None:
    bare = replace(FACTS, windows=[], history=[], promise=[])
    assert "No window is over yet." in Read(page(bare)).words
    without = replace(FACTS, windows=[replace(WINDOW, signals=[], first_token_ms=None, answered=0)])
    assert "This release has no baseline, so drift is not looked for." in Read(page(without)).words


def test_a_canary_is_told_of() -> None:
    told = {"release": NEW, "state": "judging", "why": "", "canary": 12, "running": 110}
    assert f"Canary {NEW} — judging; 12 requests beside 110 of the running release." in " ".join(
        Read(page(replace(FACTS, canary=told))).words
    )


def test_it_renews_itself_for_who_asked_for_it_alone() -> None:
    facts = Facts(release="assistant@sha256:0", windows=[], history=[], canary={}, promise=[])
    assert ['http-equiv="refresh"' in page(facts, live=live) for live in (False, True)] == [False, True]


def test_the_last_training_has_its_curves_and_what_the_gate_said() -> None:
    curve = [(step, 4.0 - step / 20, 5e-4 * step / 40, 900.0 + step) for step in range(1, 41)]
    told = page(replace(FACTS, curve=curve, gate="it passed its gate beside the running release"))
    read = Read(told)
    assert read.seen.count("svg") == 4
    words = " ".join(read.words)
    assert "loss from 3.950 to 2.000" in words
    assert {"step 1", "step 40", "learning rate, up to 5.0e-04", "tokens per second, up to 940"} <= set(
        read.words
    )
    assert "The gate: it passed its gate beside the running release." in words
    assert "The last training" not in page(replace(FACTS, curve=curve[:1]))
