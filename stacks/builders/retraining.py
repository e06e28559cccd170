"""Whether a training job begins again: a key that the user sets, and reports of drift that were carried here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pulumi

from components.errors import StackError
from scenario_model.errors import ScenarioModelError
from scenario_model.report import drift_report

if TYPE_CHECKING:
    from stacks.settings.cloud import Training


def retrain_key(stack: str, training: Training, release_name: str) -> str:
    """Return what makes another job of the same configuration; empty if nothing does.

    A report that has been acted on stays in it, so that it acts once.

    Raises:
        StackError: a report cannot be trusted, or is about another model.

    """
    asking = set[str]()
    if training.reports and not training.reports_authority:
        raise StackError(
            f"stacks/Pulumi.{stack}.yaml: training.reports: nobody says whose reports may be trusted; set training."
            "reports_authority to a file with the output `ca_certificate` of the stack whose servers they are from"
        )
    for path in training.reports:
        where = f"stacks/Pulumi.{stack}.yaml: training.reports"
        try:
            found = drift_report.read(Path(path), Path(str(training.reports_authority)))
        except ScenarioModelError as error:
            raise StackError(f"{where}: {error}") from None
        drift = found.report.drift
        if drift.release.partition("@")[0] != release_name:
            raise StackError(
                f"{where}: {path} is about {drift.release}, and this stack trains {release_name}"
            )
        if drift.asks == "retraining":
            asking.add(found.digest[:16])
        else:
            pulumi.log.warn(f"{path}: asks for {drift.asks}, so it does not make this stack retrain")
    return "+".join([*([training.retrain_key] if training.retrain_key else []), *sorted(asking)])
