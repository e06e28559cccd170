"""Llama-shaped models of random weights, and a tokenizer for them that needs no file from elsewhere."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a Llama with tied embeddings; `vocabulary` in tokens."""

    width: int
    inner: int
    layers: int
    heads: int
    key_value_heads: int
    vocabulary: int
    context: int = 8192

    def config(self) -> Any:
        """The same for transformers."""
        from transformers import LlamaConfig

        return LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            intermediate_size=self.inner,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_value_heads,
            max_position_embeddings=self.context,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
        )


ONE_BILLION = Shape(width=2048, inner=8192, layers=16, heads=32, key_value_heads=8, vocabulary=128256)
"""1.24 billion parameters: the sizes of Llama 3.2 1B, from its config.json."""
SMALL = Shape(width=128, inner=384, layers=2, heads=4, key_value_heads=2, vocabulary=1024, context=1024)
"""0.5 million parameters: for a CPU, where speed is not the question."""
TINY = Shape(width=64, inner=128, layers=2, heads=4, key_value_heads=2, vocabulary=512, context=1024)
"""0.1 million parameters: for what is about bits, not speed."""


def random_model(shape: Shape, device: torch.device, dtype: torch.dtype) -> Any:
    """A model of this shape with weights drawn on the device, the same ones each time on that device."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            return LlamaForCausalLM(shape.config())
    finally:
        torch.set_default_dtype(before)


def write_checkpoint(folder: Path, shape: Shape, device: torch.device, dtype: torch.dtype) -> Path:
    """Write such a model with a tokenizer as a Hugging Face directory; returns the folder."""
    folder.mkdir(parents=True)
    random_model(shape, device, dtype).save_pretrained(folder)
    tokenizer(shape.vocabulary).save_pretrained(folder)
    return folder


def tokenizer(vocabulary: int) -> Any:
    """A byte-level tokenizer: the end-of-text token, 256 bytes, and words that text never turns into.

    The words stand for the rest of a vocabulary: a random model answers with any of them.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = ["<|end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokens += [f"\u0120w{number}" for number in range(vocabulary - len(tokens))]
    core = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate(tokens)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", bos_token="<|end|>")


def write_texts(folder: Path, documents: int, words: int) -> Path:
    """Write text files of words drawn with a fixed seed, the same ones each time; returns the folder."""
    folder.mkdir(parents=True)
    drawn = random.Random(0)
    for number in range(documents):
        text = " ".join("".join(drawn.choices("abcdefghij", k=5)) for _ in range(words))
        (folder / f"{number:03}.txt").write_text(text + "\n", encoding="utf-8")
    return folder


def write_config(file: Path, **settings: Any) -> Path:
    """Write a configuration as JSON; returns the file."""
    file.write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return file
