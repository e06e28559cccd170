"""Training again, by the commands that a person would use: each goes on where a killed one was."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenario_model.curves.points import points_of, thinned
from scenario_model.errors import ScenarioModelError, TemporaryError

if TYPE_CHECKING:
    from scenario_model.lifecycle.settings import LifecycleHere, Training

_POINTS = 60
_REFUSED, _TRY_AGAIN, _STOPPED = 1, 75, (130, 143)


@dataclass(frozen=True, slots=True)
class Trained:
    """A new release, or why there is none.

    `run`: the training's digest. `curve`: some of its steps, each with loss, learning rate and tokens per second.
    """

    run: str
    release: str
    passed: bool
    why: str
    curve: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Trainer:
    """Trains, evaluates beside the running release, and signs."""

    settings: LifecycleHere
    training: Training

    def run(self) -> str:
        """The digest of the run that training would be now. Raises ScenarioModelError for bad settings or data."""
        return str(self._answer("train", "--config", self.training.config, "--plan")["run"])

    def train(self, beside: Path, former: str) -> Trained:
        """Train, evaluate and sign; minutes to hours. `beside`: the running release; `former`: its run, if known.

        Raises TemporaryError if it was stopped, ScenarioModelError if it cannot be done.
        """
        done = self._answer("train", "--config", self.training.config)
        run, directory = str(done["run"]), str(done["directory"])
        compared: list[str | Path] = ["--beside", beside]
        if self.training.gate:
            compared += ["--gate", self.training.gate]
        if former and (old := Path(directory).with_name(former)).is_dir():
            compared += ["--former", old]
        verdict = self._answer("evaluate", "--run", directory, *compared, accept=_REFUSED)
        kept = ["--name", self.settings.name, "--store", self.settings.store]
        signed = self._answer("release", "sign", directory, *kept, "--key", self.settings.signing_key)
        why = "; ".join(verdict["reasons"]) or "it passed its gate beside the running release"
        steps = thinned(points_of(Path(directory)), _POINTS)
        curve = tuple((each.step, each.loss, each.learning_rate, each.tokens_per_s) for each in steps)
        return Trained(run, str(signed["release"]), bool(signed["passed"]), why, curve)

    def _answer(self, *arguments: str | Path, accept: int = 0) -> dict[str, Any]:
        command = [sys.executable, "-m", "scenario_model", *map(str, arguments), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        said = done.stdout.strip().splitlines()
        if done.returncode in (0, accept) and said:
            answer: dict[str, Any] = json.loads(said[-1])
            return answer
        words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1].removeprefix("scenario-model: ")
        what = f"`scenario-model {arguments[0]}` failed: {words[-500:]}"
        if done.returncode in (_TRY_AGAIN, *_STOPPED) or done.returncode < 0:
            raise TemporaryError(what)
        raise ScenarioModelError(what)
