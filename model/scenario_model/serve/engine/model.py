"""The model: loaded from a release, and one step of it over the slots' cache."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from scenario_model.errors import InputError
from scenario_model.serve.engine.attention import NAME, KeyValueCache, Segment, Step, attend
from scenario_model.serve.engine.int8 import quantise_linears
from scenario_model.serve.engine.memory import refuse_if_too_big
from scenario_model.serve.engine.selfcheck import check_step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tokenizers import Tokenizer

    from scenario_model.serve.engine.interface import EngineSettings
    from scenario_model.serve.engine.scheduler import Chunk

_DTYPES = {"int8": torch.bfloat16, "bf16": torch.bfloat16, "fp32": torch.float32}
# The span that decoding rows look at grows in steps, so that shapes repeat.
_SPAN_STEP = 64


class Model:
    """A causal language model over a fixed cache. Used by one thread at a time.

    Raises InputError when the directory is not a model that can be run here, or its cache does not fit.
    """

    def __init__(self, directory: Path, settings: EngineSettings) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        weights = settings.weights
        if weights == "auto":
            weights = "int8" if self.device.type == "cpu" else "bf16"
        self.weights = weights
        self._network = _load(directory, _DTYPES[weights]).to(self.device)
        self.tokenizer = load_tokenizer(directory)
        self.decoder: Tokenizer = self.tokenizer.backend_tokenizer
        config = self._network.config.get_text_config()
        self.context = min(settings.max_context, int(config.max_position_embeddings))
        heads = int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
        size = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        shapes = [(heads, size)] * int(config.num_hidden_layers)
        sizes: dict[str, Any] = {
            "slots": settings.max_sequences,
            "context": self.context,
            "dtype": _DTYPES[weights],
        }
        self.cache_bytes = KeyValueCache.bytes_needed(shapes, **sizes)
        refuse_if_too_big(
            self.cache_bytes, self.device, f"{settings.max_sequences} slots of {self.context} tokens"
        )
        self._cache = KeyValueCache(shapes, device=self.device, **sizes)
        check_step(self._network, self.step, str(directory))
        if weights == "int8":
            quantise_linears(self._network)
        self.end_tokens = _end_tokens(self._network, self.tokenizer)

    @torch.inference_mode()
    def step(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Compute the chunks; return logits [rows, vocabulary], one row per chunk that samples."""
        tokens = list(chain.from_iterable(c.sequence.tokens[c.start : c.start + c.length] for c in chunks))
        positions = list(chain.from_iterable(range(c.start, c.start + c.length) for c in chunks))
        slots = list(chain.from_iterable([c.sequence.slot] * c.length for c in chunks))
        ids = torch.tensor([tokens, positions, slots], device=self.device)
        last, row = [], 0
        for chunk in chunks:
            row += chunk.length
            if chunk.samples:
                last.append(row - 1)
        output = self._network(
            input_ids=ids[None, 0],
            position_ids=ids[None, 1],
            use_cache=False,
            logits_to_keep=torch.tensor(last, dtype=torch.long, device=self.device),
            step=self._lay_out(chunks, ids[2], ids[1]),
        )
        logits: torch.Tensor = output.logits[0]
        return logits

    def _lay_out(self, chunks: Sequence[Chunk], slots: torch.Tensor, positions: torch.Tensor) -> Step:
        decoding = sum(1 for chunk in chunks if chunk.sequence.generated)
        segments, row, reach, span, mask = [], decoding, 0, 0, None
        for chunk in chunks[decoding:]:
            segments.append(Segment(chunk.sequence.slot, row, chunk.start, chunk.length))
            row += chunk.length
        if decoding:
            reach = 1 + max(chunk.sequence.slot for chunk in chunks[:decoding])
            longest = 1 + max(chunk.start for chunk in chunks[:decoding])
            span = min(-(-longest // _SPAN_STEP) * _SPAN_STEP, self.context)
            # A slot without a row sees its first place, so that nothing divides by zero.
            last_seen = torch.zeros(reach, dtype=torch.long, device=self.device)
            last_seen[slots[:decoding]] = positions[:decoding]
            hidden = torch.arange(span, device=self.device) > last_seen[:, None]
            mask = torch.zeros(reach, 1, 1, span, dtype=self._network.dtype, device=self.device)
            mask.masked_fill_(hidden[:, None, None], float("-inf"))
        return Step(self._cache, slots, positions, decoding, reach, span, mask, tuple(segments))


def _load(directory: Path, dtype: torch.dtype) -> Any:
    AttentionInterface.register(NAME, attend)
    try:
        network = AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=dtype,
            attn_implementation=NAME,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"not a causal language model that can be loaded ({str(error).splitlines()[0]})",
            where=str(directory),
            remedy="a Hugging Face directory with config.json and safetensors is needed",
        ) from error
    return network.eval().requires_grad_(requires_grad=False)


def load_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a model directory. Raises InputError when it has none of the fast kind."""
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


def _end_tokens(network: Any, tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """Tokens that end an answer, as the model's generation settings and its tokenizer name them."""
    ends = network.generation_config.eos_token_id
    ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    if tokenizer.eos_token_id is not None:
        ends.append(tokenizer.eos_token_id)
    return frozenset(int(end) for end in ends)
