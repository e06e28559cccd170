"""The model: loaded from a release, and one step of it over the slots' cache."""

from __future__ import annotations

from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface, AutoModelForCausalLM

from scenario_model.errors import InputError, ScenarioModelError
from scenario_model.serve.engine.attention import (
    NAME,
    Draft,
    KeyValueCache,
    Segment,
    Step,
    attend,
    computing,
)
from scenario_model.serve.engine.compiling import compile_layers, recording
from scenario_model.serve.engine.int8 import quantise_linears
from scenario_model.serve.engine.memory import context_that_fits, refuse_if_too_big
from scenario_model.serve.engine.selfcheck import check_step, plain_logits
from scenario_model.tokens.loading import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    from scenario_model.serve.engine.scheduler import Chunk
    from scenario_model.serve.engine.settings import TorchSettings

# Dtype of weights as loaded, and of the cache. With int8 the rest is computed in float32.
_DTYPES = {"int8": torch.bfloat16, "bf16": torch.bfloat16, "fp32": torch.float32}
# Tolerance in nats against the plain model: rounding in bf16 gives about 0.001, in int8 0.01; an unsupported
# architecture, whole units.
_TOLERANCE = {"int8": 0.5, "bf16": 0.05, "fp32": 0.001}
_UNLIMITED = 131_072  # for models that name no maximum
# The span that decoding rows attend to grows in steps, so that shapes repeat.
_SPAN_STEP = 64


class Model:
    """A causal language model over a fixed cache. Used by one thread at a time.

    Raises InputError if the directory's model cannot be run here, or its cache does not fit.
    """

    def __init__(self, directory: Path, settings: TorchSettings) -> None:
        try:
            self._prepare(directory, settings)
        except ScenarioModelError:
            raise
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            what = f"this model architecture is not supported: {reason}"
            remedy = "serve it with vLLM (engine.kind)"
            raise InputError(what, where=str(directory), remedy=remedy) from error

    def _prepare(self, directory: Path, settings: TorchSettings) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        weights = settings.weights
        if weights == "auto":
            weights = "int8" if self.device.type == "cpu" else "bf16"
        if weights == "int8" and self.device.type != "cpu":
            raise InputError("int8 is for CPUs", where="engine.weights", remedy="set it to bf16 or auto")
        self.weights = weights
        self._network = _load(directory, _DTYPES[weights]).to(self.device)
        self.tokenizer = load_tokenizer(directory)
        self.decoder: Tokenizer = self.tokenizer.backend_tokenizer
        self.end_tokens = _end_tokens(self._network, self.tokenizer)
        self.vocabulary = int(_config(self._network).vocab_size)
        plain = plain_logits(self._network)
        if weights == "int8":
            quantise_linears(self._network)
            self._network.float()
        # One extra slot, for the self-check at the start and for compiling in the background.
        self.spare_slot = settings.max_sequences
        self.cache_bytes = self._allocate_cache(self.spare_slot + 1, settings.max_context, _DTYPES[weights])
        with recording(self._network) as self._examples:
            check_step(plain, self.step, self.spare_slot, str(directory), tolerance=_TOLERANCE[weights])

    def compile(self, folder: Path | None) -> None:
        """Compile the layers, then use them; `step` may be called from another thread meanwhile.

        folder: cache of compiled code. Raises torch's errors; the model then stays uncompiled.
        """
        compile_layers(self._network, self._examples, folder)

    @torch.inference_mode()
    def step(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Compute the chunks; return logits [rows, vocabulary] of those that sample.

        A chunk with a draft has a row for the token before the draft and one for each of its tokens; others
        have one.
        """
        tokens = list(chain.from_iterable(c.tokens for c in chunks))
        positions = list(chain.from_iterable(range(c.start, c.start + c.length) for c in chunks))
        slots = list(chain.from_iterable([c.sequence.slot] * c.length for c in chunks))
        ids = torch.tensor([tokens, positions, slots], device=self.device)
        ends = accumulate(chunk.length for chunk in chunks)
        last = [
            row
            for end, chunk in zip(ends, chunks, strict=True)
            if chunk.samples
            for row in range(end - 1 - len(chunk.draft), end)
        ]
        with computing(self._lay_out(chunks, ids[2], ids[1])):
            output = self._network(
                input_ids=ids[None, 0],
                position_ids=ids[None, 1],
                use_cache=False,
                logits_to_keep=torch.tensor(last, dtype=torch.long, device=self.device),
            )
        logits: torch.Tensor = output.logits[0]
        return logits

    def _allocate_cache(self, slots: int, wanted: int | None, dtype: torch.dtype) -> int:
        """Set `context` and allocate the cache; returns its bytes."""
        config = _config(self._network)
        heads = int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
        size = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        shapes = [(heads, size)] * int(config.num_hidden_layers)
        own = int(getattr(config, "max_position_embeddings", None) or wanted or _UNLIMITED)
        one = KeyValueCache.bytes_needed(shapes, slots=slots, context=1, dtype=dtype)
        self.context = min(wanted, own) if wanted else context_that_fits(own, one, self.device)
        needed = KeyValueCache.bytes_needed(shapes, slots=slots, context=self.context, dtype=dtype)
        refuse_if_too_big(needed, self.device, f"{slots} slots of {self.context} tokens")
        cache = KeyValueCache(shapes, slots=slots, context=self.context, dtype=dtype, device=self.device)
        cache.attach(self._network)
        self._cache_dtype = dtype
        return needed

    def _lay_out(self, chunks: Sequence[Chunk], slots: torch.Tensor, positions: torch.Tensor) -> Step:
        decoding = sum(1 for chunk in chunks if chunk.sequence.generated and not chunk.draft)
        drafts, segments, row, reach, span, mask = [], [], decoding, 0, 0, None
        for chunk in chunks[decoding:]:
            slot, length = chunk.sequence.slot, chunk.length
            if chunk.draft:
                mine = positions[row : row + length]
                drafts.append(Draft(slot, row, length, *self._sight(mine, chunk.start + length)))
            else:
                segments.append(Segment(slot, row, chunk.start, length))
            row += length
        if decoding:
            reach = 1 + max(chunk.sequence.slot for chunk in chunks[:decoding])
            # A slot without a row attends to its first position, to avoid division by zero.
            last_seen = torch.zeros(reach, dtype=torch.long, device=self.device)
            last_seen[slots[:decoding]] = positions[:decoding]
            span, mask = self._sight(last_seen, 1 + max(chunk.start for chunk in chunks[:decoding]))
        in_order = all(chunk.sequence.slot == row for row, chunk in enumerate(chunks[:decoding]))
        return Step(slots, positions, decoding, reach, span, mask, in_order, tuple(drafts), tuple(segments))

    def _sight(self, last_seen: torch.Tensor, longest: int) -> tuple[int, torch.Tensor]:
        """Span of positions, and mask [rows, 1, 1, span], for rows that attend up to `last_seen` [rows]."""
        span = min(-(-longest // _SPAN_STEP) * _SPAN_STEP, self.context)
        hidden = torch.arange(span, device=self.device) > last_seen[:, None]
        mask = torch.zeros(len(last_seen), 1, 1, span, dtype=self._cache_dtype, device=self.device)
        return span, mask.masked_fill_(hidden[:, None, None], float("-inf"))


def _config(network: Any) -> Any:
    return network.config.get_text_config()


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
            f"cannot be loaded as a causal language model ({str(error).splitlines()[0]})",
            where=str(directory),
            remedy="use a Hugging Face directory with config.json and safetensors",
        ) from error
    return network.eval().requires_grad_(requires_grad=False)


def _end_tokens(network: Any, tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """Tokens that end an answer, from the model's generation settings and its tokenizer."""
    ends = network.generation_config.eos_token_id
    ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    if tokenizer.eos_token_id is not None:
        ends.append(tokenizer.eos_token_id)
    return frozenset(int(end) for end in ends)
