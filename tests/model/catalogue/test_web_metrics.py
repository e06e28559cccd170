"""What the catalogue's web server counts."""

from __future__ import annotations

from scenario_model.catalogue.web_metrics import WebMetrics
from scenario_model.exchange.contract import Drift, encode
from tests.model.rollout.test_decide import NEW, period


def test_reports_are_counted_and_those_of_drift_by_what_they_ask_for() -> None:
    metrics = WebMetrics()
    drifts = [
        Drift(at=1, release=NEW, window_seconds=900, units=16, asks=each)
        for each in ("nothing", "retraining", "retraining")
    ]
    metrics.took(list(enumerate(map(encode, [period(), *drifts]), start=1)))
    text = metrics.text().decode()
    assert "catalogue_reports_kept_total 4.0" in text
    assert 'catalogue_drift_reports_total{asks="retraining"} 2.0' in text
    assert 'catalogue_drift_reports_total{asks="nothing"} 1.0' in text
