"""`scenario-model import`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from scenario_model import logs, options
from scenario_model.atomic_io import disk_errors
from scenario_model.errors import Refused
from scenario_model.foundation.importer import import_foundation
from scenario_model.model_import.trial import try_out
from scenario_model.signing.keys import SigningKey, signing_key
from scenario_model.signing.signature import sign_directory, signed_files
from scenario_model.signing.tree import SIGNATURE

if TYPE_CHECKING:
    from pathlib import Path


@click.command("import")
@click.argument("source", type=options.FILE)
@click.option("--out", required=True, type=options.FILE, help="Directory for the imported model.")
@click.option(
    "--max-perplexity",
    default=1000.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="Refuse a model whose perplexity per token on plain English is above this.",
)
@click.option(
    "--key",
    metavar="FILE|kms:ARN",
    help="Sign it with this private key (release.sig), so that a training job can verify it in a bucket.",
)
@options.as_json
def command(source: Path, out: Path, max_perplexity: float, key: str | None, as_json: bool) -> None:
    """Import a foundation model from a Hugging Face directory or a GGUF file.

    Writes safetensors, tokenizer and chat template to OUT, with foundation.json: digest, source, licence, and
    a test (perplexity on fixed text, an answer, a step of training, a few tokens served). Only safetensors,
    configuration and tokenizer are read; code, quantised and incomplete weights are refused. Takes 10 to 60
    seconds for a small model; if the model is already imported, nothing changes.
    """
    _quiet()
    source = source.expanduser()
    logs.say(f"importing {source.name} into {out}")
    record, changed = import_foundation(source, out, max_perplexity=max_perplexity, try_out=try_out)
    if key is not None:
        with disk_errors(out):
            _sign(out, signing_key(key))
    if as_json:
        click.echo(json.dumps({**record, "directory": str(out), "changed": changed}))
        return
    proof = record["proof"]
    click.echo(f"{'imported' if changed else 'already imported'}: {record['name']}@{record['digest']}")
    click.echo(
        f"licence {record['license'] or 'not stated'}; perplexity on plain English {proof['perplexity']:.1f}"
    )
    click.echo(f"{proof['question']} {proof['answer']}")
    if record.get("serving_obstacle"):
        click.echo(f"the bundled engine cannot serve it ({record['serving_obstacle']}); vLLM may")


def _sign(directory: Path, key: SigningKey) -> None:
    """Sign, unless that key did: a torn signature, or another key's, is replaced."""
    try:
        signed_files((directory / SIGNATURE).read_bytes(), key.public_key())
    except (OSError, Refused):
        sign_directory(directory, key)


def _quiet() -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
