"""Finds and checks a foundation model's files before anything is parsed as a model.

Only the files that are read are judged and counted: what else lies in a download, pickles and code included, is
never opened.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from scenario_model.digests import file_digest, json_digest
from scenario_model.errors import InputError, Refused

if TYPE_CHECKING:
    from pathlib import Path

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
CARRIED = ("LICENSE*", "LICENCE*", "NOTICE*", "COPYING*", "USE_POLICY*", "additional_chat_templates/*.jinja")
"""What goes along with a model unchanged, into a release too."""
_MODEL_FILES = ("config.json", "generation_config.json", "README.md")
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_LFS = b"version https://git-lfs.github.com/spec/v1"
_AGAIN = "download the model again"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a foundation model comes from: a directory or a GGUF file, and its digest.

    `files`: what is read of a directory, by relative POSIX path; symlinks are resolved.
    """

    kind: Literal["directory", "gguf"]
    path: Path
    digest: str
    files: dict[str, Path]


def inspect(path: Path) -> Source:
    """Recognise and check a source without loading it.

    A directory is a checkpoint, such as a snapshot in Hugging Face's cache, or the folder of a model there.
    Raises InputError if it is neither a checkpoint directory with config, safetensors and tokenizer nor a
    GGUF file; Refused if it needs code, or if a file to be read lies elsewhere.
    """
    if path.is_dir():
        root = _snapshot(path)
        files = _files(root)
        return Source("directory", root, json_digest({n: file_digest(p) for n, p in files.items()}), files)
    if not path.is_file():
        raise InputError(
            "no such file or directory", where=str(path), remedy="give a checkpoint directory or a .gguf"
        )
    _refuse_lfs_pointer(path)
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic != b"GGUF":
        raise InputError(
            "not a GGUF file", where=str(path), remedy="give a checkpoint directory or a .gguf file"
        )
    _refuse_part_of_gguf(path)
    return Source("gguf", path, file_digest(path), {path.name: path})


def _snapshot(path: Path) -> Path:
    """A model's folder in Hugging Face's cache stands for the snapshot that `main` names."""
    main = path / "refs" / "main"
    if not main.is_file():
        return path
    found = path / "snapshots" / main.read_text(encoding="utf-8").strip()
    if not found.is_dir():
        raise InputError("the snapshot of 'main' is missing", where=str(path), remedy=_AGAIN)
    return found


def _files(root: Path) -> dict[str, Path]:
    config = _json_object(_one(root, "config.json", "give a Hugging Face checkpoint"))
    if "quantization_config" in config:
        remedy = "use the model's version in bf16 or fp16"
        raise InputError("is quantised, and cannot be trained as it is", where=str(root), remedy=remedy)
    patterns = (*_MODEL_FILES, *_TOKENIZER_FILES, *CARRIED)
    found = {p.relative_to(root).as_posix(): p for pattern in patterns for p in sorted(root.glob(pattern))}
    for name in _weights(root):
        found[name] = _one(root, name, "download the missing part")
    _one(root, "tokenizer.json", "save the model with its fast tokenizer")
    files = {name: _resolved(path, root) for name, path in sorted(found.items())}
    for name, path in files.items():
        _refuse_lfs_pointer(path)
        if name.endswith(".safetensors"):
            _check_safetensors(path)
        if name.endswith(".json") and name != _INDEX:
            _refuse_code(_json_object(path), root)
    return files


def _weights(root: Path) -> list[str]:
    """Names of the weights' files. An index may only name files beside it."""
    if not (root / _INDEX).exists():
        if not (root / _SINGLE).exists():
            others = [p.name for p in sorted(root.glob("*.bin"))] or [
                p.name for p in sorted(root.glob("*.pth"))
            ]
            what = "contains no safetensors weights" + (f", only {others[0]}, a pickle" if others else "")
            raise InputError(what, where=str(root), remedy="convert the model to safetensors")
        return [_SINGLE]
    index = _json_object(root / _INDEX)
    parts = index.get("weight_map")
    if not isinstance(parts, dict) or not parts or not all(isinstance(n, str) for n in parts.values()):
        raise InputError("has no weight_map", where=str(root / _INDEX), remedy=_AGAIN)
    for name in sorted(set(parts.values())):
        if "/" in name or "\\" in name or name.startswith(".") or not name.endswith(".safetensors"):
            raise Refused(f"names {name!r}, which is no file beside it", where=str(root / _INDEX))
    return [_INDEX, *sorted(set(parts.values()))]


def _one(root: Path, name: str, remedy: str) -> Path:
    if not (root / name).exists():
        gone = " (a link to nothing)" if (root / name).is_symlink() else ""
        raise InputError(f"contains no {name}{gone}", where=str(root), remedy=remedy)
    return root / name


def _resolved(path: Path, root: Path) -> Path:
    """The file behind a link: within the directory, or the cache that it is a snapshot of."""
    final = path.resolve()
    homes = [root.resolve()]
    if root.parent.name == "snapshots" and (root.parent.parent / "blobs").is_dir():
        homes.append((root.parent.parent / "blobs").resolve())
    if not any(final.is_relative_to(home) for home in homes):
        remedy = "copy the model with `cp -rL` and import the copy"
        raise Refused(f"is a symlink that leads to {final}", where=str(path), remedy=remedy)
    if not final.is_file():
        raise InputError("is not a file", where=str(path), remedy=_AGAIN)
    return final


def _refuse_lfs_pointer(path: Path) -> None:
    with path.open("rb") as stream:
        if stream.read(len(_LFS)) == _LFS:
            raise InputError(
                "is a Git LFS pointer, not the file itself",
                where=str(path),
                remedy="run `git lfs pull` there",
            )


def _refuse_part_of_gguf(path: Path) -> None:
    """A split file says the number of its parts under `split.count`, a uint16 (GGUF type 2)."""
    with path.open("rb") as stream:
        head = stream.read(1 << 20)
    key = b"split.count" + struct.pack("<I", 2)
    found = head.find(key)
    parts = (
        struct.unpack_from("<H", head, found + len(key))[0] if 0 <= found <= len(head) - len(key) - 2 else 1
    )
    if parts > 1:
        remedy = "merge them with `llama-gguf-split --merge`"
        raise InputError(f"is one of {parts} parts of a split GGUF", where=str(path), remedy=remedy)


def _check_safetensors(path: Path) -> None:
    """Compare the file's size with its header: 8 bytes of the header's length, the header, the tensors."""
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size - 8, 100 * 2**20):
                raise ValueError
            header = json.loads(stream.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (struct.error, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise InputError("is not a safetensors file, or torn", where=str(path), remedy=_AGAIN) from None
    wanted = 8 + length + max(ends, default=0)
    if size != wanted:
        what = f"has {size} bytes where its header says {wanted}: the download was cut off"
        raise InputError(what, where=str(path), remedy=_AGAIN)


def _refuse_code(config: dict[str, Any], root: Path) -> None:
    if "auto_map" in config:
        remedy = "use an architecture that is built into transformers"
        raise Refused("requires its own code (auto_map)", where=str(root), remedy=remedy)


def _json_object(path: Path) -> dict[str, Any]:
    _refuse_lfs_pointer(path)
    content = path.read_bytes()
    if content.startswith(b"\xef\xbb\xbf"):
        remedy = "save the file as UTF-8 without it"
        raise InputError("begins with a byte order mark", where=str(path), remedy=remedy)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON: {error}", where=str(path), remedy=_AGAIN) from None
    if not isinstance(value, dict):
        raise InputError("not a JSON object", where=str(path), remedy=_AGAIN)
    return value
