"""What the local server's detectors have found, from its own metrics, as the exchange contract has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from scenario_model.exchange.contract import Drift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.samples import Sample

WINDOWS = "scenario_model_drift_windows_total"
_EVIDENCE, _THRESHOLD = "scenario_model_drift_evidence", "scenario_model_drift_threshold"
_UNITS, _LENGTH = "scenario_model_drift_units", "scenario_model_drift_window_seconds"


def drift_in(text: str, at: float) -> Drift | None:
    """The report of a server's last window; None if it has no detectors, or the text says nothing sensible."""
    try:
        samples = {(each.name, each.labels.get("detector", "")): each for each in _samples(text)}
        names = [detector for name, detector in samples if name == _EVIDENCE]
        if not names:
            return None
        return Drift.seen(
            [
                (name, samples[_EVIDENCE, name].value, samples[_THRESHOLD, name].value)
                for name in sorted(names)
            ],
            at=at,
            release=samples[_UNITS, ""].labels["release"],
            seconds=samples[_LENGTH, ""].value,
            units=int(samples[_UNITS, ""].value),
        )
    except (ValueError, KeyError, IndexError, ValidationError):
        return None


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from (each for each in family.samples if each.name.startswith("scenario_model_drift_"))
