"""Tries out a model for training and for serving, so that an obstacle is known before hours of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_model.errors import ScenarioModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TOKENS = 24


def try_out(directory: Path) -> dict[str, str]:
    """Train a step and serve a few tokens; return what failed: `training`, `serving`, with the obstacle."""
    obstacles = {"training": _obstacle(_train, directory), "serving": _obstacle(_serve, directory)}
    return {use: obstacle for use, obstacle in obstacles.items() if obstacle}


def _obstacle(use: Callable[[Path], None], directory: Path) -> str:
    try:
        use(directory)
    except ScenarioModelError as error:
        return error.what
    except Exception as error:  # noqa: BLE001 - an architecture may fail in any way
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return ""


def _train(directory: Path) -> None:
    """A forward and a backward pass of adapters, as training does them."""
    import torch

    from scenario_model.train.batches import MicroBatch
    from scenario_model.train.model import load_model
    from scenario_model.train.settings import Recipe

    model = load_model(directory, Recipe(rank=1), bf16=True)
    rows = model.model.get_input_embeddings().weight.shape[0]
    tokens = torch.tensor([[(7 + 101 * at) % rows for at in range(_TOKENS)]])
    positions = torch.arange(_TOKENS).unsqueeze(0)
    model(MicroBatch(tokens, tokens.roll(-1, 1), positions, (_TOKENS,))).backward()


def _serve(directory: Path) -> None:
    """The engine's own check at its start, on a small cache."""
    from scenario_model.serve.engine.model import Model
    from scenario_model.serve.engine.settings import TorchSettings

    Model(directory, TorchSettings(weights="bf16", max_sequences=1, max_context=64))
