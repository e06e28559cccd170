"""`scenario-model train`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from scenario_model import logs, options
from scenario_model.config import load_file
from scenario_model.describe import with_settings
from scenario_model.train.plan import make_plan
from scenario_model.train.settings import TrainSettings

if TYPE_CHECKING:
    from pathlib import Path


@click.command("train")
@click.option("--config", required=True, type=options.FILE, help="Training configuration, JSON.")
@click.option(
    "--plan", "only_plan", is_flag=True, help="Validate everything and name the run; train nothing."
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    envvar="WORLD_SIZE",
    help="For --plan: number of processes that train together; otherwise torchrun sets it.",
)
@click.option(
    "--peer-timeout",
    type=click.FloatRange(1),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="Timeout waiting for the other processes; then exit code 75.",
)
@options.as_json
@with_settings(TrainSettings)
def command(config: Path, only_plan: bool, processes: int, peer_timeout: float, as_json: bool) -> None:
    """Fine-tune a foundation model.

    The run is named by the digest of all its inputs: the same inputs never train twice, and a stopped or
    killed run resumes from its last checkpoint, bit for bit. SIGTERM saves first (exit code 143). Several
    processes: `torchrun --nproc-per-node N -m scenario_model train --config …`, on several hosts `python -m
    scenario_model.train.torchrun` with the same arguments: each host needs the same foundation model and
    data, and the first one stores the run. Progress goes to standard error. The default takes about five
    minutes on two cores.
    """
    plan = make_plan(load_file(TrainSettings, config), processes)
    if only_plan:
        summary = plan.summary()
        text = f"run {summary['run']} ({summary['state']}): {summary['data']['training_documents']} documents"
        click.echo(json.dumps(summary) if as_json else "\n".join((text, *plan.notes)))
        return
    # Imported lazily: torch takes seconds.
    from scenario_model.train.parallel import PeersLostError, end_process
    from scenario_model.train.run import train

    _quiet()
    leads = os.environ.get("RANK", "0") == "0"
    if leads:
        logs.say(f"run {plan.summary()['run']} ({plan.folder.state}): {plan.folder.root}")
    try:
        result, changed = train(plan, peer_timeout)
    except PeersLostError as error:
        logs.error(f"scenario-model: {error}")
        end_process(error.exit_code)
    if leads and as_json:
        click.echo(json.dumps({**plan.summary(), "result": result, "changed": changed}))
    elif leads:
        click.echo(
            f"{'trained' if changed else 'already trained'}: {result['tokens']} tokens in "
            f"{result['seconds']} s, final loss {result['final_loss']:.3f}; {plan.folder.model}"
        )
    if processes > 1:
        end_process()


def _quiet() -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
