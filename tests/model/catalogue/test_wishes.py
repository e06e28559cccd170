"""Wishes for the hosted endpoint: they last a minute, and only whoever has its key has one."""

from __future__ import annotations

import hashlib

import pytest

from scenario_model.catalogue.wishes import Wishes
from scenario_model.errors import Refused
from scenario_model.serve.settings import ApiKeys, HashedKey

KEYS = ApiKeys(keys=(HashedKey(id="client", sha256=hashlib.sha256(b"key").hexdigest()),))


def test_a_wish_lasts_a_minute_and_each_renews_it() -> None:
    now = 0.0
    wishes = Wishes(KEYS, lambda: now)
    assert not wishes.open
    for at in (10.0, 65.0):
        now = at
        assert wishes.wish([(b"authorization", b"Bearer key")]) == "client"
    for at, wanted in ((65.1, True), (124.0, True), (126.0, False)):
        now = at
        assert wishes.open is wanted


@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Bearer other")], [(b"authorization", b"key")]])
def test_without_the_key_nothing_is_wished_for(headers: list[tuple[bytes, bytes]]) -> None:
    wishes = Wishes(KEYS)
    with pytest.raises(Refused, match="a key of the hosted endpoint is required"):
        wishes.wish(headers)
    assert not wishes.open
