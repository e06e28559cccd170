"""Loads a checked source: a causal language model in torch, its tokenizer, its licence."""

from __future__ import annotations

import struct
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from scenario_model.errors import InputError, Refused
from scenario_model.tokens.loading import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenario_model.foundation.source import Source


@dataclass(slots=True)
class Loaded:
    """A model on the CPU in evaluation mode, its tokenizer, and the licence name if stated."""

    model: Any
    tokenizer: Any
    license: str | None


@contextmanager
def alone(source: Source) -> Iterator[Path]:
    """A folder with links to the files of a source and nothing else, so that nothing else is read."""
    with tempfile.TemporaryDirectory(prefix="scenario-model-import-") as folder:
        for name, path in source.files.items():
            link = Path(folder, name)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
        yield Path(folder)


def load(source: Source) -> Loaded:
    """Load all weights of a source.

    Raises InputError if transformers does not know the architecture or cannot read a file; Refused if weights
    are missing or left over, do not match the config's shapes, or are not finite.
    """
    with alone(source) as folder, _named(folder, source.path):
        if source.kind == "directory":
            return load_directory(folder)
        return _finite(_load_gguf(folder / source.path.name), source.path)


def load_directory(path: Path) -> Loaded:
    """Load a checkpoint directory, all of whose files may be read. Raises as `load` does."""
    _check_generation(path)
    model = _from_pretrained(path, dtype="auto", use_safetensors=True)
    tokenizer = _tokenizer(path)
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        what = f"its tokenizer has {len(tokenizer)} tokens, but its embedding only {rows}"
        raise Refused(what, where=str(path), remedy="use the tokenizer that belongs to the model")
    return _finite(Loaded(model, tokenizer, _readme_license(path)), path)


@contextmanager
def _named(folder: Path, source: Path) -> Iterator[None]:
    """Errors name the source, not the folder of links."""
    try:
        yield
    except (InputError, Refused) as error:
        where, what = (text.replace(str(folder), str(source)) for text in (error.where, error.what))
        raise type(error)(what, where=where, remedy=error.remedy) from error.__cause__


def _finite(loaded: Loaded, path: Path) -> Loaded:
    for name, tensor in loaded.model.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise Refused(
                f"weight {name!r} is not finite", where=str(path), remedy="download the model again"
            )
    loaded.model.eval()
    return loaded


def _load_gguf(path: Path) -> Loaded:
    from transformers import GgufConfig

    # Unpacked whatever this machine has: transformers would keep packed weights where it finds a kernel for them.
    unpacked = GgufConfig(dequantize=True)
    model = _from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.bfloat16, quantization_config=unpacked
    )
    _check_gguf(path, model)
    model.hf_quantizer = None  # a mark of quantised models, which cannot be saved
    return Loaded(model, _tokenizer(path.parent, gguf_file=path.name), _gguf_license(path))


def _check_gguf(path: Path, model: Any) -> None:
    """transformers ignores tensors that it has no place for, such as the factors of Llama 3.1's positions."""
    from gguf import GGUFReader
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
    )

    reader = GGUFReader(path)
    field = reader.get_field("general.architecture")
    architecture = str(field.contents()) if field else ""
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=model.config.to_dict())
    known = get_gguf_hf_weights_map(model, processor)
    left = sorted(tensor.name for tensor in reader.tensors if tensor.name not in known)
    _refuse_unexpected(left, path, "import the model's safetensors instead")


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
    _untie(model)
    _refuse_unexpected(
        sorted(report["unexpected_keys"]), path, "use the config.json that belongs to the weights"
    )
    return model


def _refuse_unexpected(names: list[str], path: Path, remedy: str) -> None:
    if names:
        what = f"{len(names)} weights have no place in the model, and would be lost: {', '.join(names[:3])}"
        raise Refused(what, where=str(path), remedy=remedy)


def _untie(model: Any) -> None:
    """A head of its own in a file whose config ties it to the embedding: transformers keeps it, others drop it."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    config = model.config.get_text_config()
    tied = getattr(config, "tie_word_embeddings", False)
    if head is None or not tied or head.weight is embedding.weight:
        return
    if torch.equal(head.weight, embedding.weight):
        head.weight = embedding.weight
    else:
        config.tie_word_embeddings = model.config.tie_word_embeddings = False


def _check_generation(path: Path) -> None:
    """transformers ignores a generation_config.json that it cannot read, and with it where answers end."""
    if not (path / "generation_config.json").exists():
        return
    from transformers import GenerationConfig

    try:
        GenerationConfig.from_pretrained(path, local_files_only=True).validate()
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        where = str(path / "generation_config.json")
        raise InputError(f"is invalid: {reason}", where=where, remedy="correct it, or remove it") from error


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
