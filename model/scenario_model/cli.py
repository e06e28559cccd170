"""The one command line of the package: `scenario-model`."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys

import click

from scenario_model import logs
from scenario_model.errors import ScenarioModelError

# Set before any Hugging Face library is imported: nothing here may call a hub or send telemetry.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["DO_NOT_TRACK"] = "1"

# A command's module is imported only when the command runs: torch alone takes seconds to import.
_COMMANDS = {
    "catalogue": (
        "scenario_model.catalogue.command",
        "Hand releases to sites: list, assign, refresh, rotate.",
    ),
    "credentials": (
        "scenario_model.serve.credentials_command",
        "Create a CA, a server certificate and an API key.",
    ),
    "curves": ("scenario_model.curves.command", "Show a training run's curves; TensorBoard, MLflow."),
    "drift": ("scenario_model.drift.command", "Show what a release's baseline promises."),
    "edge": (
        "scenario_model.edge.command",
        "Take what a catalogue assigns to this site, and report numbers.",
    ),
    "evaluate": ("scenario_model.evaluate.command", "Compare a trained model with its parent: the gate."),
    "import": ("scenario_model.model_import.command", "Import a foundation model."),
    "job": ("scenario_model.job.command", "Train, evaluate and release into a bucket, on preemptible hosts."),
    "kept-text": (
        "scenario_model.observe.kept_text_command",
        "Read the texts of prompts that a server kept.",
    ),
    "lifecycle": ("scenario_model.lifecycle.command", "Retrain when traffic drifts; try, promote or drop."),
    "release": ("scenario_model.release.command", "Sign, verify, list, promote and roll back releases."),
    "report": ("scenario_model.report.command", "Write and check signed reports of drift."),
    "rollout": ("scenario_model.rollout.command", "Lead a release from ring to ring, and back if it is bad."),
    "serve": ("scenario_model.serve.command", "Serve a verified release over HTTPS."),
    "train": ("scenario_model.train.command", "Fine-tune a foundation model; resumes if it was stopped."),
}


# Threads that wait for one another spin for some 20 microseconds, and then sleep: beside a busy neighbour libgomp's own
# 300,000 turns would take a core's time from the very thread that is waited for. The server uses fewer threads instead.
_SPIN = {"GOMP_SPINCOUNT": "1000"}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        if cmd_name != "serve" and "OMP_WAIT_POLICY" not in os.environ:
            os.environ.update(_SPIN | os.environ)  # read when torch is imported
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in sorted(_COMMANDS.items())])


@click.group(cls=_LazyGroup)
@click.version_option(package_name="scenario-model")
@click.option("-v", "--verbose", is_flag=True, help="Also log developer details.")
@click.option("-q", "--quiet", is_flag=True, help="Log errors only.")
@click.option("--log-json", is_flag=True, help="Log JSON objects: time, level, message.")
def _cli(verbose: bool, quiet: bool, log_json: bool) -> None:
    """Import, fine-tune, evaluate, release and serve a language model on your own hosts.

    Exit codes: 0 done; 1 refused or gate failed, the reason named; 2 bad usage or input; 75 temporary failure
    (an unreachable bucket, a stopped job): try again.

    Results go to standard output, the log to standard error.
    """
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet are mutually exclusive; use one of them")
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO
    logs.configure(level=level, as_json=log_json)


def main() -> None:
    """Run the command line; a user error is one line on standard error, never a traceback."""
    # Importing torch and transformers creates a million permanent objects: garbage-collecting them repeatedly
    # takes an eighth of the start-up time.
    gc.set_threshold(100_000)
    try:
        _cli.main(standalone_mode=True)
    except ScenarioModelError as error:
        logs.error(f"scenario-model: {error}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
