"""No client takes the web server from the others."""

from __future__ import annotations

import pytest

from scenario_model.catalogue.limits import Downloads, Rate, TooMuch


def test_a_client_may_ask_in_bursts_and_then_at_its_rate() -> None:
    now = [0.0]
    rate = Rate(2.0, 10.0, now=lambda: now[0])
    for _ in range(10):
        rate.spend("here")
    with pytest.raises(TooMuch) as error:
        rate.spend("here")
    assert error.value.seconds == pytest.approx(0.5)
    rate.spend("there")
    now[0] += 1.0
    rate.spend("here")
    rate.spend("here")
    with pytest.raises(TooMuch):
        rate.spend("here")


def test_clients_that_are_idle_are_forgotten() -> None:
    now = [0.0]
    rate = Rate(1.0, 5.0, now=lambda: now[0])
    for number in range(50_000):
        rate.spend(str(number))
    now[0] += 6.0
    rate.spend("late")
    assert len(rate._seen) == 1


def test_downloads_are_bounded_together_and_for_each_client() -> None:
    downloads = Downloads(3, 2)
    with downloads.one("here"), downloads.one("here"):
        with pytest.raises(TooMuch, match="only 2 downloads of one site at once"), downloads.one("here"):
            pass
        with downloads.one("there"), pytest.raises(TooMuch) as error, downloads.one("elsewhere"):
            pass
        assert error.value.busy
        assert downloads.running == 2
    assert downloads.running == 0
