"""Loads a checked source: a causal language model in torch, its tokenizer, its licence."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from scenario_model.errors import InputError, Refused
from scenario_model.tokens.loading import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.foundation.source import Source


@dataclass(slots=True)
class Loaded:
    """A model on the CPU in evaluation mode, its tokenizer, and the licence name if stated."""

    model: Any
    tokenizer: Any
    license: str | None


def load(source: Source) -> Loaded:
    """Load all weights of `source`.

    Raises InputError if transformers does not know the architecture or cannot read the file; Refused if
    weights are missing, do not match the config's shapes, or are not finite.
    """
    loaded = _load_gguf(source.path) if source.kind == "gguf" else _load_directory(source.path)
    for name, tensor in loaded.model.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise Refused(
                f"weight {name!r} is not finite", where=str(source.path), remedy="download the model again"
            )
    loaded.model.eval()
    return loaded


def _load_directory(path: Path) -> Loaded:
    model = _from_pretrained(path, dtype="auto", use_safetensors=True)
    return Loaded(model, _tokenizer(path), _readme_license(path))


def _load_gguf(path: Path) -> Loaded:
    quantised = _from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    # The dequantised model is still marked as quantised and would refuse to be saved: copy its weights into a
    # plain one.
    config = quantised.config
    del config.quantization_config
    model = type(quantised)(config).to(torch.bfloat16)
    model.load_state_dict(quantised.state_dict())
    model.generation_config = quantised.generation_config
    return Loaded(model, _tokenizer(path.parent, gguf_file=path.name), _gguf_license(path))


def _from_pretrained(path: Path, **options: Any) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            path, local_files_only=True, trust_remote_code=False, output_loading_info=True, **options
        )
    except Exception as error:  # transformers raises many types of error for unreadable models
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        remedy = "use an architecture that transformers supports"
        raise InputError(f"cannot be loaded: {reason}", where=str(path), remedy=remedy) from error
    for problem in ("missing_keys", "mismatched_keys"):
        if report[problem]:
            names = ", ".join(sorted(map(str, report[problem]))[:3])
            what = f"{len(report[problem])} weights do not match the config ({problem.replace('_', ' ')}): {names}"
            raise Refused(what, where=str(path), remedy="download the complete model")
    return model


def _tokenizer(path: Path, **options: Any) -> Any:
    tokenizer = load_tokenizer(path, **options)
    if tokenizer.eos_token_id is None:
        raise InputError("its tokenizer has no end-of-text token", where=str(path))
    return tokenizer


def _gguf_license(path: Path) -> str | None:
    """The string under general.license; read directly, because GGUFReader takes seconds for the vocabulary.

    GGUF stores a string as its length (uint64) and bytes; a value is preceded by its type (uint32; 8:
    string).
    """
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
    found = head.find(b"general.license" + struct.pack("<I", 8))
    if found < 0:
        return None
    start = found + len(b"general.license") + 4
    (length,) = struct.unpack_from("<Q", head, start)
    return head[start + 8 : start + 8 + length].decode(errors="replace")


def _readme_license(path: Path) -> str | None:
    """The licence of a model card: the `license:` line of README.md's front matter."""
    readme = path / "README.md"
    if not readme.is_file():
        return None
    lines = readme.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines or lines[0].strip() != "---":
        return None
    for line in lines[1:]:
        if line.strip() == "---":
            return None
        if line.startswith("license:"):
            return line.removeprefix("license:").strip().strip("'\"") or None
    return None
