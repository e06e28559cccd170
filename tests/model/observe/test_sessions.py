"""Sessions: what is independent counts once, without what was repeated."""

from __future__ import annotations

import pytest

from scenario_model.observe.sessions import Sessions

FIRST, SECOND, OTHER = tuple(range(100, 140)), tuple(range(200, 240)), tuple(range(300, 380))


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


def sizes(sessions: Sessions) -> list[tuple[str, int]]:
    return [(session.client, len(session.ids)) for session in sessions.window()]


def test_a_conversation_is_one_unit_and_what_it_repeats_counts_once(sessions: Sessions) -> None:
    sessions.add("a", "", FIRST)
    sessions.add("a", "", FIRST + SECOND)
    sessions.add("a", "", FIRST + SECOND + OTHER)
    ((_, size),) = sizes(sessions)
    assert size == len(FIRST + SECOND + OTHER)


def test_prompts_that_have_nothing_in_common_are_units_of_their_own(sessions: Sessions) -> None:
    sessions.add("a", "", FIRST)
    sessions.add("a", "", SECOND)
    sessions.add("b", "", FIRST)
    found = sizes(sessions)
    assert [size for _, size in found] == [40, 40, 40]
    assert len({client for client, _ in found}) == 3


def test_a_session_is_what_the_client_says_it_is(sessions: Sessions) -> None:
    sessions.add("a", "s", FIRST)
    sessions.add("a", "s", SECOND)
    sessions.add("b", "s", OTHER)
    assert [size for _, size in sizes(sessions)] == [80, 80]


def test_a_session_counts_in_the_window_in_which_it_began_alone(sessions: Sessions) -> None:
    sessions.add("a", "s", FIRST)
    sessions.add("a", "", OTHER)
    assert len(sizes(sessions)) == 2
    sessions.add("a", "s", SECOND)
    sessions.add("a", "", OTHER + SECOND)
    assert sizes(sessions) == []


def test_a_window_takes_no_more_than_it_can_score(sessions: Sessions) -> None:
    for number in range(400):
        sessions.add("a", "", tuple(range(number * 50, number * 50 + 40)))
    assert len(sizes(sessions)) == 256


def test_conversations_of_a_session_are_told_apart_although_they_take_turns(sessions: Sessions) -> None:
    sessions.add("a", "s", FIRST)
    sessions.add("a", "s", SECOND)
    sessions.add("a", "s", FIRST + OTHER)
    (session,) = sessions.window()
    assert [tuple(each) for each in session.conversations] == [FIRST + OTHER, SECOND]
    assert tuple(session.ids) == FIRST + SECOND + OTHER


def test_a_session_that_comes_when_there_is_no_room_for_a_token_more_spoils_no_window(
    sessions: Sessions,
) -> None:
    sessions.add("a", "", tuple(range(500_000)))
    sessions.add("b", "", FIRST)
    assert sizes(sessions) == [("a/1", 500_000)]
