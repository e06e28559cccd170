"""Checks a foundation model's files before anything is parsed as a model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from scenario_model.digests import file_digest, tree_digest
from scenario_model.errors import InputError, Refused

if TYPE_CHECKING:
    from pathlib import Path

# Formats that run code when they are read: pickle, and archives that may contain pickles.
_PICKLE_SUFFIXES = {
    ".bin",
    ".pt",
    ".pth",
    ".pkl",
    ".pickle",
    ".ckpt",
    ".joblib",
    ".npy",
    ".npz",
    ".h5",
    ".msgpack",
}
_PICKLE_STARTS = (*(bytes((0x80, protocol)) for protocol in range(2, 6)), b"PK\x03\x04")
_CODE_SUFFIXES = {".py", ".so", ".pyc"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a foundation model comes from: a directory or a GGUF file, and its digest."""

    kind: Literal["directory", "gguf"]
    path: Path
    digest: str


def inspect(path: Path) -> Source:
    """Recognise and check a source without loading it.

    Raises InputError if it is neither a checkpoint directory with config, safetensors and tokenizer nor a
    GGUF file; Refused if it contains pickles, code, or links that lead out of it.
    """
    if path.is_dir():
        _check_directory(path)
        return Source("directory", path, tree_digest(path))
    if not path.is_file():
        raise InputError(
            "no such file or directory", where=str(path), remedy="give a checkpoint directory or a .gguf"
        )
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic != b"GGUF":
        raise InputError(
            "not a GGUF file", where=str(path), remedy="give a checkpoint directory or a .gguf file"
        )
    return Source("gguf", path, file_digest(path))


def _check_directory(root: Path) -> None:
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            raise Refused(
                "is a symlink", where=str(path), remedy="copy the model with `cp -rL` and import the copy"
            )
        if path.is_file():
            _check_file(path)
    config = _json_object(root / "config.json")
    tokenizer_config = root / "tokenizer_config.json"
    if "auto_map" in config or (tokenizer_config.exists() and "auto_map" in _json_object(tokenizer_config)):
        remedy = "use an architecture that is built into transformers"
        raise Refused("requires its own code (auto_map)", where=str(root), remedy=remedy)
    if not any(root.glob("*.safetensors")):
        raise InputError(
            "contains no safetensors weights", where=str(root), remedy="convert the model to safetensors"
        )
    if not (root / "tokenizer.json").is_file():
        raise InputError(
            "contains no tokenizer.json", where=str(root), remedy="save the model with its fast tokenizer"
        )


def _check_file(path: Path) -> None:
    if path.suffix in _CODE_SUFFIXES:
        raise Refused("is code; a model's own code is never run", where=str(path), remedy="remove it")
    with path.open("rb") as stream:
        start = stream.read(4)
    if path.suffix in _PICKLE_SUFFIXES or start.startswith(_PICKLE_STARTS):
        raise Refused(
            "may contain a pickle, which can run code",
            where=str(path),
            remedy="use safetensors and remove it",
        )


def _json_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(
            f"contains no {path.name}", where=str(path.parent), remedy="give a Hugging Face checkpoint"
        ) from None
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}", where=str(path)) from None
    if not isinstance(value, dict):
        raise InputError("not a JSON object", where=str(path))
    return value
