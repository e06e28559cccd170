"""Tries out a model for training and for serving, so that an obstacle is known before hours of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scenario_model.errors import InputError, ScenarioModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

_TOKENS = 24
_COMMON = 8


def try_out(directory: Path) -> str:
    """Train a step and serve a few tokens; return why the bundled engine cannot serve the model, or nothing.

    Raises InputError for a model that cannot be trained: only what was trained here is ever served.
    """
    if obstacle := _obstacle(_train, directory):
        remedy = "use a model of another architecture (docs/models.md)"
        raise InputError(obstacle, where=str(directory), remedy=remedy)
    return _obstacle(_serve, directory)


def _obstacle(use: Callable[[Path], None], directory: Path) -> str:
    try:
        use(directory)
    except ScenarioModelError as error:
        return error.what
    except Exception as error:  # noqa: BLE001 - an architecture may fail in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"this model architecture is not supported: {reason}"
    return ""


def _train(directory: Path) -> None:
    """A forward and a backward pass of adapters, as training does them."""
    import torch

    from scenario_model.foundation.loading import load_directory
    from scenario_model.train.batches import MicroBatch
    from scenario_model.train.model import load_model
    from scenario_model.train.settings import Recipe

    _insist_on_causal(load_directory(directory).model)
    model = load_model(directory, Recipe(rank=1), bf16=True)
    tokens = _tokens(model.model)
    positions = torch.arange(_TOKENS).unsqueeze(0)
    model(MicroBatch(tokens, tokens.roll(-1, 1), positions, (_TOKENS,))).backward()


def _serve(directory: Path) -> None:
    """The engine's own check at its start, with as much of a context as it serves by default."""
    from scenario_model.serve.engine.model import Model
    from scenario_model.serve.engine.settings import TorchSettings

    Model(directory, TorchSettings(weights="bf16", max_sequences=1))


def _insist_on_causal(model: Any) -> None:
    """A token must not change what the model says of those before it: BERT's does.

    Both texts are equally long: in bfloat16, another shape alone may change what is computed. Of the architectures
    in docs/models.md, the causal ones said the same to the bit; the others differed by 1.7 % of the largest or more.
    """
    import torch

    tokens = _tokens(model)
    others = torch.cat([tokens[:, :_COMMON], tokens[:, _COMMON:].flip(1)], dim=1)
    with torch.inference_mode():
        one, other = (model(input_ids=text, use_cache=False).logits[0, :_COMMON] for text in (tokens, others))
    if not torch.allclose(one, other, rtol=0, atol=0.005 * float(one.abs().max())):
        raise InputError("the model is not causal: later tokens change what it says of earlier ones")


def _tokens(model: Any) -> torch.Tensor:
    """Different ordinary tokens: [1, _TOKENS]."""
    import torch

    rows = model.get_input_embeddings().weight.shape[0]
    return torch.tensor([[(7 + 101 * at) % rows for at in range(_TOKENS)]])
