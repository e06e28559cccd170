"""A token is good once and a revocation holds, whatever another process writes meanwhile."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from scenario_model.catalogue.enrolment import Enrolments
from scenario_model.errors import Refused
from scenario_model.release.store import FolderStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNTIL = 100.0


class Interrupted(FolderStore):
    """A store in which somebody else does `meanwhile` as soon as an entry was read."""

    meanwhile: Callable[[], object] | None = None

    def read(self, key: str) -> bytes | None:
        content = super().read(key)
        if self.meanwhile:
            act, self.meanwhile = self.meanwhile, None
            act()
        return content


@pytest.fixture
def store(tmp_path: Path) -> Interrupted:
    return Interrupted(tmp_path)


@pytest.fixture
def ours(store: Interrupted) -> Enrolments:
    return Enrolments(store)


def test_a_token_that_somebody_uses_between_our_look_and_our_entry_is_used_up(
    store: Interrupted, ours: Enrolments
) -> None:
    secret = ours.invite("here", "first", UNTIL)
    store.meanwhile = lambda: ours.enrol("here", secret, 1, key="theirs")
    with pytest.raises(Refused, match="is not valid"):
        ours.enrol("here", secret, 1, key="ours")
    assert ours.enrol("here", secret, 2, key="theirs") == "first"


def test_a_site_revoked_while_it_enrols_is_out(store: Interrupted, ours: Enrolments) -> None:
    secret = ours.invite("here", "first", UNTIL)
    store.meanwhile = lambda: ours.revoke("here", 1)
    with suppress(Refused):
        ours.enrol("here", secret, 1, key="ours")
    assert ours.revoked("here")
    assert ours.rings() == {}


def test_a_site_that_enrols_while_it_is_revoked_is_out(store: Interrupted, ours: Enrolments) -> None:
    secret = ours.invite("here", "first", UNTIL)
    store.meanwhile = lambda: ours.enrol("here", secret, 1, key="ours")
    assert ours.revoke("here", 1)
    assert ours.revoked("here")
    assert ours.rings() == {}


def test_of_two_who_invite_a_revoked_site_one_has_a_token(store: Interrupted, ours: Enrolments) -> None:
    ours.invite("here", "first", UNTIL)
    ours.revoke("here", 1)
    theirs: list[str] = []
    store.meanwhile = lambda: theirs.append(ours.invite("here", "theirs", UNTIL))
    with pytest.raises(Refused, match="at the same time"):
        ours.invite("here", "ours", UNTIL)
    assert ours.enrol("here", theirs[0], 2) == "theirs"


def test_a_site_may_be_revoked_and_invited_again(ours: Enrolments) -> None:
    for round_ in range(3):
        secret = ours.invite("here", f"ring-{round_}", UNTIL)
        assert ours.enrol("here", secret, 1) == f"ring-{round_}"
        assert ours.rings() == {"here": f"ring-{round_}"}
        assert ours.revoke("here", 2)
        assert not ours.revoke("here", 2)
