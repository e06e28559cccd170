"""Where curves go: TensorBoard and MLflow, each by its own library, which only this needs."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from scenario_model.errors import InputError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from scenario_model.curves.points import Point

_CURVES = ("loss", "learning_rate", "tokens_per_s")
_BATCH = 300  # MLflow takes a thousand values at once
_RUN_TAG = "scenario.run"


class Sink(Protocol):
    """Takes a run's curves. `last`: the step up to which it has them already."""

    last: int

    def add(self, points: Sequence[Point]) -> None:
        """Take further steps."""

    def close(self, gate: Mapping[str, Any] | None) -> None:
        """The run is complete. `gate`: what it said, if it was asked."""


class TensorBoard:
    """Event files in a folder of the run's own; one that was begun is gone on with."""

    def __init__(self, folder: Path, run: str) -> None:
        """Raises InputError if TensorBoard is not installed, or the folder cannot be written to."""
        try:
            from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
            from tensorboard.summary import Writer
        except ImportError:
            raise _missing("tensorboard", "tensorboard") from None
        mine = folder / run[:12]
        self.last = 0
        try:
            if mine.is_dir():
                had = EventAccumulator(str(mine)).Reload()
                if "training/loss" in had.Tags()["tensors"]:
                    self.last = max(event.step for event in had.Tensors("training/loss"))
            self._writer = Writer(str(mine))
        except OSError as error:
            raise InputError(f"cannot be written to: {error.strerror}", where=str(mine)) from None

    def add(self, points: Sequence[Point]) -> None:
        """See `Sink`."""
        for point in points:
            for name in _CURVES:
                self._writer.add_scalar(f"training/{name}", getattr(point, name), point.step)
        self._writer.flush()

    def close(self, gate: Mapping[str, Any] | None) -> None:
        """See `Sink`."""
        if gate:
            self._writer.add_scalar("gate/passed", float(gate["passed"]), self.last)
        self._writer.close()


class MlFlow:
    """A run of a tracking server; one that was begun is gone on with."""

    def __init__(self, server: str, experiment: str, run: str) -> None:
        """`server`: its URI.

        Raises InputError if MLflow is not installed or does not take the address, TemporaryError if nobody answers.
        """
        # It would report its use, and write an address on standard output, where our answer belongs.
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError:
            raise _missing("mlflow", "mlflow-skinny") from None
        self._error: type[Exception] = MlflowException
        self._where = server
        with self._understood():
            self._client = MlflowClient(tracking_uri=server)
            known = self._client.get_experiment_by_name(experiment)
            there = known.experiment_id if known else self._client.create_experiment(experiment)
            begun = self._client.search_runs([there], f"tags.`{_RUN_TAG}` = '{run}'")
            made = (
                begun[0] if begun else self._client.create_run(there, run_name=run[:12], tags={_RUN_TAG: run})
            )
            self._id: str = made.info.run_id
            had = self._client.get_metric_history(self._id, "loss") if begun else []
        self.last = max((metric.step for metric in had), default=0)

    def add(self, points: Sequence[Point]) -> None:
        """See `Sink`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with self._understood():
            for start in range(0, len(points), _BATCH):
                some = points[start : start + _BATCH]
                values = [
                    Metric(name, getattr(each, name), now, each.step) for each in some for name in _CURVES
                ]
                self._client.log_batch(self._id, metrics=values)

    def close(self, gate: Mapping[str, Any] | None) -> None:
        """See `Sink`."""
        with self._understood():
            if gate:
                self._client.set_tag(self._id, "scenario.gate", "passed" if gate["passed"] else "failed")
            self._client.set_terminated(self._id)

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """MLflow's errors, as ours."""
        try:
            yield
        except self._error as error:
            words = str(error).partition("\n")[0][:300]
            if "Max retries" in words or "failed with exception" in words:
                raise TemporaryError("MLflow does not answer", where=self._where) from None
            raise InputError(f"MLflow refuses: {words}", where=self._where) from None


def _missing(library: str, package: str) -> InputError:
    where = f"install it beside this package: {sys.executable} -m pip install {package}"
    return InputError(f"{library} is not installed", remedy=where)
