"""`scenario-model kept-text`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

import click

from scenario_model import logs, options
from scenario_model.atomic_io import write_text
from scenario_model.errors import InputError, Refused, ScenarioModelError
from scenario_model.observe import sealed
from scenario_model.observe.kept_text import SUFFIX
from scenario_model.signing.keys import load_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

_LINES = (".jsonl", ".ndjson")


@click.group("kept-text")
def command() -> None:
    """Texts of prompts that a server kept, encrypted, because its settings said so."""


@command.command()
@click.argument("directory", type=options.FILE)
@click.option("--key", required=True, type=options.FILE, help="The recipient's private key, a PEM file.")
@click.option("--out", type=options.FILE, help="A .jsonl file, mode 0600; default: standard output.")
def show(directory: Path, key: Path, out: Path | None) -> None:
    """Decrypt the texts in DIRECTORY, a server's `observation/text`.

    Each is a line {"text", "start", "release", "asks"}: training data of kind `text`. The window's start is in UTC;
    `asks` is what the detectors of drift asked for then: nothing, warning or retraining.
    """
    if out and out.suffix.lower() not in _LINES:
        raise InputError(
            "has another name than data for training have", where=str(out), remedy="name it .jsonl"
        )
    private = load_private(key)
    files = _files(directory)
    found = _read(files, private)
    if len(found.foreign) == len(files):
        raise found.foreign[0]
    content = "".join(line + "\n" for line in found.lines)
    if out:
        try:
            write_text(out, content, mode=0o600)
        except OSError as error:
            raise InputError(error.strerror or "cannot be written", where=str(out)) from None
        logs.say(f"{out}: {len(found.lines)} texts")
    else:
        click.echo(content, nl=False)
    _tell(found, directory, len(files))


class _Found(NamedTuple):
    lines: list[str]
    expired: list[Path]
    foreign: list[ScenarioModelError]
    broken: list[ScenarioModelError]


def _files(directory: Path) -> list[Path]:
    try:
        files = sorted(path for path in directory.iterdir() if path.suffix == SUFFIX)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(directory)) from None
    if not files:
        raise InputError(
            f"has no kept text (*{SUFFIX})",
            where=str(directory),
            remedy="give the folder `text` in the server's folder of observations",
        )
    return files


def _read(files: Sequence[Path], key: ec.EllipticCurvePrivateKey) -> _Found:
    found, now = _Found([], [], [], []), time.time()
    for path in files:
        try:
            header, texts = sealed.opened(path, key)
        except sealed.AnotherKey as problem:
            found.foreign.append(problem)
        except ScenarioModelError as problem:
            found.broken.append(problem)
        else:
            if header.until <= now:
                found.expired.append(path)
                continue
            told = {"start": header.time, "release": header.release, "asks": header.asks}
            found.lines.extend(json.dumps({"text": text, **told}, ensure_ascii=False) for text in texts)
    return found


def _tell(found: _Found, directory: Path, files: int) -> None:
    """Say what was left out. Raises Refused if that is something that should have been readable."""
    for path in found.expired:
        logs.say(f"{path}: has expired, and is left out; delete it")
    for problem in found.broken:
        logs.error(str(problem))
    missing = len(found.broken) + len(found.foreign)
    if missing:
        others = f", {len(found.foreign)} of them because they are encrypted to another key"
        raise Refused(
            f"{missing} of {files} files are left out{others if found.foreign else ''}",
            where=str(directory),
            remedy="the others were read",
        )
