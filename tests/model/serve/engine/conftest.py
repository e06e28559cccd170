"""A small model with opinions, engines on it, and what Hugging Face says it should answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.serve.engine import Engine

Reference = Callable[[tuple[int, ...], int], list[int]]


@pytest.fixture(scope="session")
def lively_checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded Llama whose weights are large enough that its greedy answers differ and do not repeat.

    In float32, with grouped keys, a head size that is not hidden size / heads, and the real tokenizer.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    out = tmp_path_factory.mktemp("lively") / "llama"
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint, local_files_only=True)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=48,
                intermediate_size=96,
                num_hidden_layers=3,
                num_attention_heads=6,
                num_key_value_heads=2,
                head_dim=16,
                max_position_embeddings=4096,
                initializer_range=0.25,
                tie_word_embeddings=False,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
    network.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


@pytest.fixture(scope="session")
def laconic_checkpoint(lively_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with few words, hardly more than a dozen, so that its answers repeat themselves."""
    import torch
    from safetensors.torch import load_file, save_file

    out = tmp_path_factory.mktemp("laconic") / "llama"
    out.mkdir()
    for file in lively_checkpoint.iterdir():
        (out / file.name).symlink_to(file)
    weights = load_file(lively_checkpoint / "model.safetensors")
    words = torch.arange(500, 500 + 14 * 300, 300)
    few = torch.zeros_like(weights["lm_head.weight"])
    few[words] = weights["lm_head.weight"][words] * 12
    weights["lm_head.weight"] = few
    (out / "model.safetensors").unlink()
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    return out


@pytest.fixture(scope="session")
def greedy(lively_checkpoint: Path) -> Reference:
    """What `generate` of Hugging Face answers: (prompt, new tokens) -> the new token ids."""
    import torch
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(lively_checkpoint, dtype=torch.float32).eval()

    def generate(prompt: tuple[int, ...], tokens: int) -> list[int]:
        ids = torch.tensor([prompt])
        out = network.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
        )
        new: list[int] = out[0, len(prompt) :].tolist()
        return new

    return generate


@pytest.fixture
def start(lively_checkpoint: Path) -> Iterator[Callable[..., Engine]]:
    """Start an engine on a small model, with these settings; it is stopped after the test."""
    from scenario_model.serve.engine import Engine, TorchSettings

    engines = []

    def start_engine(checkpoint: Path = lively_checkpoint, **settings: object) -> Engine:
        settings = {"weights": "fp32", "compile": "off", "max_context": 512, "threads": 1} | settings
        engine = Engine(checkpoint, TorchSettings(**settings))  # type: ignore[arg-type]
        engine.start()
        engines.append(engine)
        return engine

    yield start_engine
    for engine in engines:
        engine.stop()
