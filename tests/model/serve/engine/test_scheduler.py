"""Slots and steps: properties that hold for any order of arrivals, ends and cancellations."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from scenario_model.serve.engine.scheduler import Scheduler, Sequence

_ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(1, 40)),
        st.tuples(st.just("step"), st.integers(0, 3)),
        st.tuples(st.just("leave"), st.integers(0, 20)),
    ),
    max_size=1500,
)


def _sequence(length: int) -> Sequence:
    return Sequence(length, 10, list(range(length)))


def _apply(scheduler: Scheduler, alive: list[Sequence], action: str, number: int) -> None:
    if action == "arrive":
        alive.append(_sequence(number))
        scheduler.add(alive[-1])
    elif action == "leave" and alive:
        gone = alive.pop(number % len(alive))
        scheduler.remove(gone)
        scheduler.remove(gone)
    elif action == "step":
        chunks = scheduler.plan()
        scheduler.computed(chunks)
        for chunk in chunks:
            if chunk.samples:
                chunk.sequence.tokens.append(0)
                if chunk.sequence.generated > number:
                    scheduler.remove(chunk.sequence)
                    alive.remove(chunk.sequence)


@settings(deadline=None, max_examples=40)
@given(_ACTIONS, st.integers(1, 5), st.integers(1, 16))
def test_no_slot_is_lost_or_shared_whatever_happens(
    actions: list[tuple[str, int]], slots: int, prefill: int
) -> None:
    scheduler = Scheduler(slots, prefill)
    alive: list[Sequence] = []
    for action, number in actions:
        _apply(scheduler, alive, action, number)
        used = [sequence.slot for sequence in scheduler.running]
        assert sorted(used + scheduler._free) == list(range(slots))
        assert len(scheduler.running) + len(scheduler.waiting) == len(alive)
    for sequence in alive:
        scheduler.remove(sequence)
    assert sorted(scheduler._free) == list(range(slots))
    assert not scheduler.running
    assert not scheduler.waiting


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(1, 4), st.integers(1, 16))
def test_every_token_is_computed_once_and_in_order(lengths: list[int], slots: int, prefill: int) -> None:
    scheduler = Scheduler(slots, prefill)
    sequences = [_sequence(length) for length in lengths]
    for sequence in sequences:
        scheduler.add(sequence)
    computed: dict[int, list[int]] = {id(sequence): [] for sequence in sequences}
    steps = 0
    while chunks := scheduler.plan():
        steps += 1
        assert steps < 10_000
        assert sum(chunk.length for chunk in chunks if not chunk.sequence.generated) <= prefill
        generates = [bool(chunk.sequence.generated) for chunk in chunks]
        assert generates == sorted(generates, reverse=True)
        scheduler.computed(chunks)
        for chunk in chunks:
            computed[id(chunk.sequence)] += range(chunk.start, chunk.start + chunk.length)
            if chunk.samples:
                chunk.sequence.tokens.append(0)
                if chunk.sequence.generated == 3:
                    scheduler.remove(chunk.sequence)
    for sequence in sequences:
        # The last token that was generated is never fed back.
        assert computed[id(sequence)] == list(range(sequence.prompt_length + 2))


def test_who_came_first_gets_a_slot_first() -> None:
    scheduler = Scheduler(slots=2, prefill_tokens=4)
    first, second, third = _sequence(6), _sequence(1), _sequence(1)
    for sequence in (first, second, third):
        scheduler.add(sequence)
    scheduler.plan()
    assert scheduler.running == [first, second]
    assert list(scheduler.waiting) == [third]


def test_prompts_share_a_step_so_that_a_short_one_need_not_wait_for_a_long_one() -> None:
    scheduler = Scheduler(slots=3, prefill_tokens=12)
    long, short, middle = _sequence(100), _sequence(2), _sequence(9)
    for sequence in (long, short, middle):
        scheduler.add(sequence)
    chunks = scheduler.plan()
    assert [(chunk.sequence, chunk.length, chunk.samples) for chunk in chunks] == [
        (short, 2, True),
        (middle, 5, False),
        (long, 5, False),
    ]
