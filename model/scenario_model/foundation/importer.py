"""Imports a foundation model: check, load, write as safetensors, test, publish atomically."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenario_model import atomic_io
from scenario_model.digests import tree_digest
from scenario_model.errors import InputError, Refused
from scenario_model.foundation.source import CARRIED, Source, inspect
from scenario_model.signing.tree import SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD = "foundation.json"
# Metadata about the model is not part of its digest.
NOT_COUNTED = frozenset({RECORD, SIGNATURE})


TryOut = Callable[[Path], str]
"""Tries out a model in a directory; returns why it cannot be served here, or nothing. May raise InputError."""


def import_foundation(
    source_path: Path, out: Path, *, max_perplexity: float, try_out: TryOut = lambda _: ""
) -> tuple[dict[str, Any], bool]:
    """Import `source_path` into the directory `out`; returns (record, changed).

    The record, also written to `out`/foundation.json, has name, digest (of all other files), source, license,
    lineage, serving_obstacle and proof. An intact import of this source in `out` is left unchanged. Raises InputError
    or Refused.
    """
    source = inspect(source_path)
    record = _already_there(out, source)
    if record is not None:
        return record, False
    with atomic_io.disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = atomic_io.fresh(out.parent / f".{out.name}.importing")
        try:
            record = _convert(source, aside, name=out.name, max_perplexity=max_perplexity, try_out=try_out)
            atomic_io.publish(aside, out)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return record, True


def read_record(directory: Path) -> dict[str, Any]:
    """The record of an imported foundation model; raises InputError if `directory` is not one."""
    try:
        record = json.loads((directory / RECORD).read_text(encoding="utf-8"))
        return {**record, "digest": str(record["digest"]), "name": str(record["name"])}
    except (OSError, ValueError, KeyError, TypeError):
        remedy = "import a model with `scenario-model import`"
        raise InputError("not an imported foundation model", where=str(directory), remedy=remedy) from None


def verify_foundation(directory: Path) -> dict[str, Any]:
    """The record of a foundation model whose files still match it; else raises Refused."""
    record = read_record(directory)
    if tree_digest(directory, leave_out=NOT_COUNTED) != record["digest"]:
        remedy = "remove the directory and import the model again"
        raise Refused("files differ from those that were imported", where=str(directory), remedy=remedy)
    return record


def _already_there(out: Path, source: Source) -> dict[str, Any] | None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    record = verify_foundation(out)
    if record.get("source", {}).get("digest") != source.digest:
        remedy = "choose another --out, or remove it first"
        raise InputError(
            f"contains a model from another source ({record['name']})", where=str(out), remedy=remedy
        )
    return record


def _convert(
    source: Source, aside: Path, *, name: str, max_perplexity: float, try_out: TryOut
) -> dict[str, Any]:
    from scenario_model.foundation.loading import load, load_directory
    from scenario_model.foundation.proof import perplexity, prove

    loaded = load(source)
    expected, license_name = perplexity(loaded.model, loaded.tokenizer), loaded.license
    loaded.model.save_pretrained(aside)
    loaded.tokenizer.save_pretrained(aside)
    del loaded  # its memory is needed for what was written
    carry_along(source.files, aside)
    # safetensors writes files readable by the owner only, but training often runs as another user.
    for weights in aside.glob("*.safetensors"):
        shutil.copymode(aside / "config.json", weights)
    # Test the written files, not the model in memory.
    written = load_directory(aside)
    proof = prove(written.model, written.tokenizer)
    del written
    found = proof["perplexity"]
    if not math.isfinite(found) or abs(found - expected) > 0.01 * expected:
        raise Refused(
            f"conversion changed the perplexity from {expected:.2f} to {found:.2f}", where=str(source.path)
        )
    if found > max_perplexity:
        what = f"perplexity on plain English is {found:.0f}, above {max_perplexity:g}: the model is damaged"
        raise Refused(what, where=str(source.path), remedy="raise --max-perplexity if that is expected")
    record: dict[str, Any] = {
        "name": name,
        "digest": tree_digest(aside),
        "source": {"kind": source.kind, "file": source.path.name, "digest": source.digest},
        "license": license_name,
        "lineage": _lineage(source),
        "serving_obstacle": _tried(aside, source, try_out),
        "proof": {**proof},
    }
    atomic_io.write_json(aside / RECORD, record)
    return record


def _tried(written: Path, source: Source, try_out: TryOut) -> str:
    try:
        return try_out(written)
    except InputError as error:
        raise InputError(error.what, where=str(source.path), remedy=error.remedy) from error


def carry_along(files: Mapping[str, Path], target: Path) -> None:
    """Copy what belongs to a model besides weights and configuration: further chat templates, licences."""
    for name, path in files.items():
        if (target / name).exists() or not any(fnmatch(name, pattern) for pattern in CARRIED):
            continue
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target / name)


def _lineage(source: Source) -> list[dict[str, Any]]:
    """The releases that a model descends from, the oldest first, if it is a release itself."""
    manifest = source.path / "release.json"
    if source.kind != "directory" or not manifest.is_file():
        return []
    try:
        told = json.loads(manifest.read_text(encoding="utf-8"))
        own = {key: told[key] for key in ("name", "parent", "run", "created")}
        return [*told.get("lineage", []), own]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"not a release description: {error}", where=str(manifest)) from None
