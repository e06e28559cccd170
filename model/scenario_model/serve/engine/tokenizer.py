"""The model's tokenizer, for whichever engine runs the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import AutoTokenizer

from scenario_model.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerFast


def load_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a model directory. Raises InputError if it has no fast tokenizer."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"no usable tokenizer ({str(error).splitlines()[0]})", where=str(directory)
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            "the tokenizer cannot decode step by step", where=str(directory), remedy="add tokenizer.json"
        )
    return tokenizer
