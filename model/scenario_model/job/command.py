"""`scenario-model job`."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from scenario_model import logs
from scenario_model.config import load_file
from scenario_model.describe import with_settings
from scenario_model.errors import Refused, ScenarioModelError, TemporaryError
from scenario_model.job.settings import JobSettings


@click.command("job")
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The job, JSON; see below.")
@click.option(
    "--plan", "only_plan", is_flag=True, help="Fetch and check the inputs and name the job; do nothing else."
)
@with_settings(JobSettings)
def command(config: Path, only_plan: bool) -> None:
    """Train, evaluate, sign and release into a bucket: a whole job, in one process or under torchrun.

    Checkpoints (recipe.checkpoint_every_steps) are copied to the bucket during training; a new host resumes
    from the newest valid one. The same job never trains twice: if its outcome is in the bucket, it is
    reported again. Standard output has JSON lines: progress, and finally
    {"event": "released" | "refused" | "stopped" | "failed", …}.

    \b
    Exit codes: 0 released; 1 gate failed or refused, do not start it again; 2 bad configuration;
    75 start it again: SIGTERM, save_before, a network failure, a lost peer process.

    Under torchrun start it with `python3 -m scenario_model.train.torchrun`, which passes these codes on; if it
    receives SIGTERM itself, it exits with 143, which means 75.
    """
    signal.signal(signal.SIGTERM, _stop)
    code = _carry_out(config, only_plan=only_plan)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from scenario_model.train.parallel import end_process

        end_process(code)
    sys.exit(code)


def _carry_out(config: Path, *, only_plan: bool) -> int:
    """The exit code, after reporting the outcome: as text on standard error, as JSON on standard output."""
    try:
        settings = load_file(JobSettings, config)
        settings.check(str(config))
        outcome = _outcome(settings, only_plan=only_plan)
    except SystemExit:
        what = "stopped by SIGTERM; start it again"
        return _ended(TemporaryError(what), {"event": "stopped", "reason": what})
    except TemporaryError as error:
        return _ended(error, {"event": "stopped", "reason": str(error)})
    except Refused as error:
        return _ended(error, {"event": "refused", "reasons": [str(error)]})
    except ScenarioModelError as error:
        return _ended(error, {"event": "failed", "reason": str(error)})
    except Exception as error:  # noqa: BLE001 - a dead host may raise anything, and a restart may help
        logs.error(traceback.format_exc().rstrip())
        _say({"event": "stopped", "reason": f"{type(error).__name__}: {str(error).strip()[:300]}"})
        return TemporaryError.exit_code
    if outcome is None:
        return 0
    _say(outcome)
    return Refused.exit_code if outcome["event"] == "refused" else 0


def _outcome(settings: JobSettings, *, only_plan: bool) -> dict[str, Any] | None:
    """The outcome, of this attempt or an earlier one; None in processes other than the leader."""
    from scenario_model.job.run import Job

    job = Job(settings)
    if only_plan:
        return {"event": "planned", "run": job.digest, "processes": job.processes, **job.plan.data.summary()}
    outcome = job.outcome()
    if outcome is not None:
        return outcome
    if job.leads:
        _say({"event": "begun", "run": job.digest, "processes": job.processes})
    _quiet()
    return job.run()


def _stop(*_: object) -> None:
    """Outside training, which saves first, nothing is lost by exiting at once."""
    # Not an Exception, which a handler might mistake for a file's fault.
    raise SystemExit(TemporaryError.exit_code)


def _ended(error: ScenarioModelError, last: dict[str, Any]) -> int:
    logs.error(f"scenario-model: {error}")
    _say(last)
    return error.exit_code


def _say(event: dict[str, Any]) -> None:
    """Print on standard output, in the leader only."""
    if os.environ.get("RANK", "0") == "0":
        click.echo(json.dumps(event))


def _quiet() -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
