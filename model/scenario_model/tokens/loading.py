"""The tokenizer of a model directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scenario_model.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def load_tokenizer(directory: Path, **options: Any) -> Any:
    """Load a model's tokenizer. Raises InputError if there is none that maps tokens back to text.

    `options`: as `AutoTokenizer.from_pretrained` takes them.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False, **options
        )
    except Exception as error:  # transformers and tokenizers raise many types of error for unreadable files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        remedy = "download the model again, with its tokenizer"
        raise InputError(
            f"its tokenizer cannot be loaded: {reason}", where=str(directory), remedy=remedy
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise InputError("has no fast tokenizer", where=str(directory), remedy="add tokenizer.json")
    return tokenizer
