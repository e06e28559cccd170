"""What becomes of each architecture is known at import, and stands in docs/models.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.tokens.loading import load_tokenizer
from tests.model.model_import.architectures import DOCUMENT, causal_types, outcome

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

# One of each family: dense, transposed, mixture of experts, windows, caps, sinks, recurrent, not causal.
FAMILIES = [
    "llama",
    "gpt2",
    "mixtral",
    "gemma3_text",
    "gemma2",
    "gpt_oss",
    "nemotron",
    "minimax",
    "mamba",
    "bert",
]


@pytest.fixture(scope="module")
def tokenizer(packaged_tokenizer: Path) -> Any:
    return load_tokenizer(packaged_tokenizer)


def documented() -> dict[str, str]:
    """The rows of docs/models.md by architecture."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    return {line.split("|")[1].strip(): line for line in lines}


@pytest.mark.parametrize(
    "model_type",
    [pytest.param(each, marks=[] if each in FAMILIES else [pytest.mark.soak]) for each in causal_types()],
)
def test_an_architecture_does_what_the_document_says_of_it(
    model_type: str, tokenizer: Any, tmp_path: Path
) -> None:
    told = documented().get(model_type)
    assert told, f"docs/models.md does not say what becomes of {model_type}"
    assert str(outcome(model_type, tokenizer, tmp_path)) == told


def test_the_document_has_every_architecture() -> None:
    assert sorted(documented()) == sorted(["architecture", *causal_types()])
