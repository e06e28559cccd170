"""Who waits for a server waits for one that can still become ready."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

WANTED = "assistant@sha256:" + "a" * 64


class Started:
    """A service whose manager starts a new process whenever the last one ended: `pids`, one a look."""

    def __init__(self, pids: Iterator[set[int]]) -> None:
        self._pids = pids

    def processes(self) -> set[int]:
        return next(self._pids)


@pytest.fixture
def wait(module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    loaded = module("server_ready")
    monkeypatch.setattr(loaded, "_PAUSE_S", 0.001)

    def call(answers: Iterator[tuple[str, str]], pids: Iterator[set[int]], **limits: Any) -> str:
        said = loaded.wait(lambda: next(answers), Started(pids), WANTED, **{"attempts": 3, **limits})
        assert isinstance(said, str)
        return said

    return call


def test_a_server_that_is_ready_at_last_is_waited_for(wait: Callable[..., str]) -> None:
    answers = iter([("", "it answers 503"), ("assistant@sha256:old", "it serves the old"), (WANTED, "")])
    assert wait(answers, itertools.repeat({7}), seconds=60) == ""


def test_a_server_that_ends_again_and_again_is_not_waited_for(wait: Callable[..., str]) -> None:
    pids = iter([{1}, set(), {2}, {2}, {3}, {4}])
    said = wait(itertools.repeat(("", "Connection refused")), pids, seconds=3600)
    assert said == "it exited 3 times before it was ready"


def test_a_server_that_takes_too_long_is_named_with_what_it_said(wait: Callable[..., str]) -> None:
    said = wait(itertools.repeat(("", "it answers 503")), itertools.repeat({7}), seconds=0)
    assert said == "timed out after 0 s: it answers 503"


def test_another_release_than_the_wanted_one_is_not_ready(wait: Callable[..., str]) -> None:
    answers = itertools.repeat(("assistant@sha256:old", "it serves assistant@sha256:old"))
    assert (
        wait(answers, itertools.repeat({7}), seconds=0)
        == "timed out after 0 s: it serves assistant@sha256:old"
    )


def test_a_server_that_follows_a_file_is_ready_with_whatever_it_names_by_then(
    module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded, follow = module("server_ready"), tmp_path / "release"
    monkeypatch.setattr(loaded, "ask", lambda _: (WANTED, "it serves another"))
    ready = loaded.asking("https://127.0.0.1:8443/readyz", str(follow), "what is wanted")
    assert ready() == ("", "it serves another"), "nothing is named yet"
    follow.write_text("assistant@sha256:old\n")
    assert ready() == ("", "it serves another")
    follow.write_text(f"{WANTED}\n")
    assert ready()[0] == "what is wanted"
