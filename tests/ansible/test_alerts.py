"""Alerts and dashboard ask for what is measured: every metric of GPUs is one that the exporter is told to report."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import yaml

from tests.ansible.conftest import PLAYBOOKS

FILES = PLAYBOOKS / "roles/monitoring/files"
# Names of etc/default-counters.csv in NVIDIA's dcgm-exporter (commit d5e5f510a1b6, May 2026, Apache 2.0); those
# after # are commented out there.
KNOWN = Path(__file__).with_name("dcgm_exporter") / "default-counters.txt"


def expressions() -> dict[str, str]:
    """What each alert and each panel asks Prometheus for."""
    rules = yaml.safe_load((FILES / "alerts.yml").read_text())
    found = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    for panel in json.loads((FILES / "dashboard.json").read_text())["panels"]:
        found[panel["title"]] = " ".join(target["expr"] for target in panel["targets"])
    return found


def reported() -> dict[str, str]:
    """The metrics that our file has dcgm-exporter report, with their types."""
    lines = [
        line for line in (FILES / "gpu-counters.csv").read_text().splitlines() if not line.startswith("#")
    ]
    rows = list(csv.reader(lines, skipinitialspace=True))
    assert all(len(row) == 3 for row in rows), "field, type, help"
    return {row[0]: row[1] for row in rows}


def test_every_metric_of_an_alert_or_a_panel_is_one_that_the_exporter_reports() -> None:
    there = reported()
    for name, expression in expressions().items():
        for metric in re.findall(r"DCGM_\w+", expression):
            assert there.get(metric) in {"gauge", "counter"}, f"{name} asks for {metric}"


def test_every_metric_of_a_service_is_one_that_the_server_reports() -> None:
    source = (PLAYBOOKS.parent / "model/scenario_model/serve/metrics.py").read_text()
    for name, expression in expressions().items():
        for metric in re.findall(r"(?:scenario_model_|vllm:|http_)\w+", expression):
            known = metric.removesuffix("_bucket").removesuffix("_total")  # the library adds these
            assert f'"{known}"' in source, f"{name} asks for {metric}"


def test_every_reported_metric_is_known_to_the_exporter() -> None:
    known = set(re.findall(r"DCGM_\w+", KNOWN.read_text()))
    assert reported().keys() <= known


def test_an_xid_of_a_program_does_not_hide_one_of_the_hardware() -> None:
    """The metric of the last Xid alone does: the next one takes its place, and nothing takes it back."""
    assert not [name for name, expression in expressions().items() if "DCGM_FI_DEV_XID_ERRORS" in expression]


def test_the_exporter_is_started_with_our_file() -> None:
    drop_in = (PLAYBOOKS / "roles/monitoring/templates/dcgm_dropin.j2").read_text()
    assert (
        "ExecStart=\nExecStart=/usr/bin/dcgm-exporter -f {{ monitoring_folder }}/gpu-counters.csv\n"
        in drop_in
    )
