"""Both models on the same texts by the same procedure, one after the other."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import torch

from scenario_model.evaluate.placing import free_memory, placed
from scenario_model.evaluate.score import bits, windows
from scenario_model.foundation.loading import load_directory
from scenario_model.train.hardware import bf16_is_faster

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scenario_model.data.documents import Document


def compare(
    parent: Path, candidate: Path, documents: Sequence[Document], progress: Callable[[str, float], None]
) -> tuple[list[float], list[float], str]:
    """Bits per document for parent and candidate, and the precision, as in `bf16 on cpu`.

    The parent's tokenizer is used for both. Raises InputError for a model that cannot be loaded.
    """
    device, dtype = _device()
    found = []
    cut = None
    for name, directory in (("parent", parent), ("candidate", candidate)):
        progress(f"loading the {name}", 0.0)
        loaded = load_directory(directory)
        model = _placed(loaded.model.to(dtype=dtype), device)
        if cut is None:
            cut = windows(documents, loaded.tokenizer, longest=_longest(model.config))
        total = sum(len(window.tokens) for window in cut)
        found.append(
            bits(model, cut, len(documents), progress=_share(progress, f"scoring the {name}", total))
        )
        del model, loaded
    names = {torch.bfloat16: "bf16", torch.float32: "fp32"}
    return found[0], found[1], f"{names[dtype]} on {device.type}"


def _placed(model: Any, device: torch.device) -> Any:
    if device.type == "cpu":
        return placed(model, device, {})
    gc.collect()  # of a training that ran in this process, or of the model before
    torch.cuda.empty_cache()
    return placed(model, device, free_memory())


def _share(progress: Callable[[str, float], None], what: str, total: int) -> Callable[[int], None]:
    return lambda done: progress(what, done / total)


def _device() -> tuple[torch.device, torch.dtype]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return device, torch.bfloat16 if bf16_is_faster(device) else torch.float32


def _longest(config: Any) -> int:
    return int(getattr(config, "max_position_embeddings", None) or 1024)
