"""`scenario-model curves`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from scenario_model import logs, options
from scenario_model.curves.points import points_of
from scenario_model.curves.sinks import MlFlow, TensorBoard
from scenario_model.errors import InputError
from scenario_model.evaluate.run import EVALUATION
from scenario_model.train.plan import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.curves.sinks import Sink

_LOOK_SECONDS = 2.0


@click.command("curves")
@click.argument("run", type=options.FILE)
@click.option("--tensorboard", "folder", type=options.FILE, help="Write TensorBoard's events here.")
@click.option("--mlflow", "server", metavar="URI", help="Write a run of this MLflow server.")
@click.option("--experiment", default="scenario-model", show_default=True, help="MLflow's experiment.")
@click.option("--follow", is_flag=True, help="Go on until the run is complete.")
@click.option("--json", "as_json", is_flag=True, help="Print the curves as one JSON object.")
def command(
    run: Path, folder: Path | None, server: str | None, experiment: str, follow: bool, as_json: bool
) -> None:
    """Show the curves of a training run, or bring them to TensorBoard or MLflow.

    RUN is the run's folder. Training needs neither of them, and sends nothing: this command does, to where it is
    told, and only numbers.
    """
    points = points_of(run)
    name = _digest(run)
    sinks: list[Sink] = [TensorBoard(folder, name)] if folder else []
    sinks += [MlFlow(server, experiment, name)] if server else []
    while True:
        complete = RunFolder(run).state == "done"
        points = points_of(run)
        for sink in sinks:
            if more := [point for point in points if point.step > sink.last]:
                sink.add(more)
                sink.last = more[-1].step
        if complete or not follow:
            break
        time.sleep(_LOOK_SECONDS)
    gate = _gate(run)
    if complete:
        for sink in sinks:
            sink.close(gate)
    last = points[-1] if points else None
    if as_json:
        curves: dict[str, Any] = {"run": name, "complete": complete, "gate": gate and gate["passed"]}
        curves["points"] = [{slot: getattr(point, slot) for slot in point.__slots__} for point in points]
        click.echo(json.dumps(curves))
    elif last:
        state = "complete" if complete else f"step {last.step} of {last.of}"
        click.echo(f"run {name[:12]} ({state}): loss {points[0].loss:.3f} to {last.loss:.3f}")
    else:
        logs.say(f"run {name[:12]} has made no step yet")


def _digest(run: Path) -> str:
    try:
        record = json.loads(RunFolder(run).record.read_text(encoding="utf-8"))
        return str(record["digest"]).removeprefix("sha256:")
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError("cannot be read", where=str(RunFolder(run).record)) from None


def _gate(run: Path) -> dict[str, Any] | None:
    try:
        told: dict[str, Any] = json.loads((run / EVALUATION).read_text(encoding="utf-8"))
        return told if isinstance(told["passed"], bool) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
