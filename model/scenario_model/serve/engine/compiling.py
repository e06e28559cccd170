"""Decoder layers compiled by torch (inductor): one layer is compiled, and all use what came of it.

There are two variants: for a single row (one stream), and for any number of rows. The compiled code is kept
in a folder, so that the next start finds it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from scenario_model.serve.engine.attention import Step, computing, current_step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# How far the compiled layer may be from the plain one, relative to the largest output: it rounds elsewhere.
_TOLERANCE = 0.02


class Call(NamedTuple):
    """What a decoder layer was called with, and within which step."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    step: Step


def can_compile() -> bool:
    """Say whether there is a C++ compiler: the one that CXX names, or a usual one on the PATH."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++") if name)


@contextlib.contextmanager
def recording(network: torch.nn.Module) -> Iterator[list[Call]]:
    """Within it, note what the first decoder layer is called with: examples for `compile_layers`."""
    calls: list[Call] = []

    def note(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append(Call(args, kwargs, current_step()))

    hooks = [
        layer.register_forward_pre_hook(note, with_kwargs=True) for layer in _decoder_layers(network)[:1]
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


@torch.inference_mode()
def compile_layers(network: torch.nn.Module, calls: list[Call], folder: Path | None) -> None:
    """Compile the decoder layers for calls like these, then let the network use them.

    Another thread may compute with the network meanwhile. folder: where compiled code is kept (for this user
    only); None: torch's own place. Raises what torch raises when it cannot compile, ArithmeticError when the
    compiled layer computes something else, ValueError when there are no such layers; all is then as before.
    """
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    from torch._inductor import config

    config.compile_threads = 1  # more would be processes of their own, that stay
    layers = _decoder_layers(network)
    if not layers:
        raise ValueError("this kind of model has no list of decoder layers")
    compiled = torch.compile(layers[0].forward, dynamic=True, fullgraph=True)
    for call in calls:
        with computing(call.step):
            expected, got = (_output(run(*call.args, **call.kwargs)) for run in (layers[0].forward, compiled))
        difference = float((expected - got).abs().max() / expected.abs().max())
        if not difference <= _TOLERANCE:
            raise ArithmeticError(f"the compiled layer is {difference:.3g} from the plain one")
    for layer in layers:
        layer.forward = torch.compile(layer.forward, dynamic=True, fullgraph=True)
    # A call unlike those above must not make everybody wait for the compiler. Of the guards only those are
    # looked at that tell the variants apart: layers do not change, and all guards take a fifth of a step.
    torch.compiler.set_stance("eager_on_recompile", skip_guard_eval_unsafe=True)


def _output(result: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return (result if isinstance(result, torch.Tensor) else result[0]).float()


def _decoder_layers(network: Any) -> list[torch.nn.Module]:
    """Return the decoder layers: the list of as many modules as the configuration says; or nothing."""
    count = network.config.get_text_config().num_hidden_layers
    lists = [module for module in network.modules() if isinstance(module, torch.nn.ModuleList)]
    return next((list(modules) for modules in lists if len(modules) == count), [])
