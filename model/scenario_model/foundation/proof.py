"""Tests that an imported model is a working language model, by perplexity on fixed text and an answer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypedDict

import torch

from scenario_model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Plain English prose of our own, so that no model has seen it.
FIXED_TEXT = (
    "A river begins as a thin line of water high in the hills, where rain and melting snow gather in "
    "small hollows and start to move downhill. As other streams join it, the river grows wider and "
    "slower, and it carries sand, clay and fallen leaves towards the sea. People have always lived "
    "beside rivers, because they give water to drink, fish to eat, and a road for boats. In spring the "
    "water often rises above its banks and leaves a layer of dark, fertile soil on the fields around "
    "it. Farmers learned to wait for that flood, and to plant as soon as the ground was firm again."
)
QUESTION = "What is the capital of France?"
_ANSWER_TOKENS = 24


class Proof(TypedDict):
    """Perplexity per token on `FIXED_TEXT` (lower is better), and the greedy answer to `QUESTION`."""

    perplexity: float
    question: str
    answer: str


def prove(model: Any, tokenizer: Any) -> Proof:
    """Measure perplexity and ask one question, greedily."""
    return {
        "perplexity": perplexity(model, tokenizer),
        "question": QUESTION,
        "answer": answer(model, tokenizer),
    }


@torch.inference_mode()
def perplexity(model: Any, tokenizer: Any) -> float:
    """Perplexity per token of `FIXED_TEXT`. Raises InputError for a model that cannot be computed."""
    tokens = tokenizer(FIXED_TEXT, return_tensors="pt").input_ids
    with _computing(model):
        logits = model(tokens, use_cache=False).logits[0, :-1].float()
        return float(torch.nn.functional.cross_entropy(logits, tokens[0, 1:]).exp())


@torch.inference_mode()
def answer(model: Any, tokenizer: Any) -> str:
    """The greedy answer to `QUESTION`, through the chat template if there is one. Raises as `perplexity` does."""
    if tokenizer.chat_template:
        messages = [{"role": "user", "content": QUESTION}]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    else:
        text = f"Question: {QUESTION}\nAnswer:"
    tokens = tokenizer(text, return_tensors="pt", add_special_tokens=not tokenizer.chat_template)
    with _computing(model):
        written = model.generate(
            **tokens, max_new_tokens=_ANSWER_TOKENS, do_sample=False, pad_token_id=tokenizer.eos_token_id
        )
    return str(tokenizer.decode(written[0, tokens.input_ids.shape[1] :], skip_special_tokens=True)).strip()


@contextmanager
def _computing(model: Any) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        what = f"{type(model).__name__} cannot be computed: {reason}"
        raise InputError(what, remedy="use the config.json that belongs to the weights") from error
