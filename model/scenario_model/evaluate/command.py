"""`scenario-model evaluate`: the gate between training and release."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from scenario_model import logs, options
from scenario_model.config import load_file
from scenario_model.describe import with_settings
from scenario_model.errors import Refused
from scenario_model.evaluate.gate import evaluate_run
from scenario_model.evaluate.settings import GateSettings

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS_BETWEEN_LINES = 5.0


@click.command()
@click.option("--run", type=options.FILE, required=True, help="The directory of a finished training run.")
@click.option("--gate", type=options.FILE, help="The gate's criteria, JSON; see below.")
@click.option(
    "--beside", type=options.FILE, help="A release's folder: to be better than that, not than the parent."
)
@click.option(
    "--former", type=options.FILE, help="That release's run: what it held out is an old domain by now."
)
@options.as_json
@with_settings(GateSettings)
def command(run: Path, gate: Path | None, beside: Path | None, former: Path | None, as_json: bool) -> None:
    """Compare a trained model with its parent: bits per byte on held-out and on general text.

    It passes if, at the stated confidence, it is better on the new domain (by more than minimum_gain bits per
    byte) and not worse on the old one by more than old_domain_margin. The verdict is stored in the run as
    evaluation.json. Exit codes: 0 passed; 1 failed, with the reasons; 2 bad input.
    """
    settings = GateSettings() if gate is None else load_file(GateSettings, gate)
    evaluation, changed = evaluate_run(run, settings, _Progress(), beside=beside, former=former)
    click.echo(json.dumps({**evaluation, "changed": changed}) if as_json else _summary(evaluation))
    if not evaluation["passed"]:
        raise Refused("gate failed: " + "; ".join(evaluation["reasons"]), where=str(run))


def _summary(evaluation: dict[str, Any]) -> str:
    new, old = evaluation["new_domain"], evaluation["old_domain"]
    return "\n".join(
        (
            _line("new domain", new, f"{new['difference']:+.4f}", "{:+.4f}"),
            _line("old domain", old, f"{old['difference']:+.2%}", "{:+.2%}"),
            "gate passed" if evaluation["passed"] else "gate FAILED",
        )
    )


def _line(name: str, figures: dict[str, Any], difference: str, form: str) -> str:
    low, high = (form.format(bound) for bound in figures["interval"])
    return (
        f"{name}: {figures['parent']:.4f} -> {figures['candidate']:.4f} bits per byte ({difference}, "
        f"interval {low} to {high}; {figures['documents']} documents, {figures['bytes']} bytes)"
    )


class _Progress:
    """Reports progress on standard error: on one rewritten line on a terminal, else as occasional JSON lines."""

    def __init__(self) -> None:
        self._live = logs.live()
        self._said = ("", 0.0)

    def __call__(self, what: str, share: float) -> None:
        if self._live:
            click.echo(f"\r\x1b[K{what}: {share:.0%}" + ("\n" if share == 1 else ""), nl=False, err=True)
            return
        now = time.monotonic()
        if what != self._said[0] or now - self._said[1] >= _SECONDS_BETWEEN_LINES or share == 1:
            self._said = (what, now)
            logs.figures("evaluating", doing=what, share=round(share, 3))
