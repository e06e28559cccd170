"""Decoder layers compiled by torch (inductor): one layer is compiled, and all use the result.

There are two variants: for a single row (one stream), and for any number of rows. The compiled code is cached
in a folder for the next start.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from scenario_model.errors import InputError
from scenario_model.serve.engine.attention import Step, computing, current_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)

# The nice value of the thread that compiles while requests are served.
_GIVING_WAY = 10

# Tolerance between compiled and plain layer, relative to the largest output: they round differently.
_TOLERANCE = 0.02


class Call(NamedTuple):
    """A decoder layer's arguments, and their step."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    step: Step


def can_compile() -> bool:
    """Whether there is a C++ compiler: the one in CXX, or a common one on PATH."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++") if name)


def compile_now(compile_model: Callable[[Path | None], None], folder: Path | None) -> None:
    """Compile before serving. Raises InputError if that is not possible here."""
    if not can_compile():
        raise InputError(
            "no C++ compiler was found", where="engine.compile", remedy="install g++, or set it to auto"
        )
    try:
        compile_model(folder)
    except Exception as error:  # torch's compiler fails in many ways
        reason = str(error).splitlines()[0]
        raise InputError(f"compiling failed ({reason})", where="engine.compile", remedy="say off") from error


def compile_meanwhile(compile_model: Callable[[Path | None], None], folder: Path | None) -> None:
    """Compile while requests are already served, at low priority; if it fails, the plain layers stay."""
    if not can_compile():
        _log.info("the model's layers are not compiled: no C++ compiler was found")
        return
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _GIVING_WAY)
    started = time.monotonic()
    try:
        compile_model(folder)
    except Exception:  # noqa: BLE001 - torch's compiler fails in many ways, and none may end the service
        _log.warning("the model's layers could not be compiled; running them uncompiled", exc_info=True)
    else:
        _log.info("the model's layers were compiled in %.1f s", time.monotonic() - started)


@contextlib.contextmanager
def recording(network: torch.nn.Module) -> Iterator[list[Call]]:
    """Record the first decoder layer's arguments: examples for `compile_layers`."""
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

    Another thread may use the network meanwhile. folder: cache of compiled code (private to this user); None:
    torch's default. Raises torch's error if it cannot compile, ArithmeticError if the compiled layer's result
    differs, ValueError if there are no such layers; the network is then unchanged.
    """
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    from torch._inductor import config

    # The loops between the products are short, and their number of threads would be fixed here (cpu_share.py).
    config.cpp.threads = 1
    config.compile_threads = 1  # more would start worker processes that stay
    layers = _decoder_layers(network)
    if not layers:
        raise ValueError("this model has no list of decoder layers")
    compiled = _compiled(layers[0].forward)
    for call in calls:
        with computing(call.step):
            expected, got = (_output(run(*call.args, **call.kwargs)) for run in (layers[0].forward, compiled))
        difference = float((expected - got).abs().max() / expected.abs().max())
        if not difference <= _TOLERANCE:
            raise ArithmeticError(f"the compiled layer differs by {difference:.3g} from the plain one")
    for layer in layers:
        layer.forward = _compiled(layer.forward)
    # A call unlike those above must not make everybody wait for the compiler. Only guards that distinguish
    # the variants are checked: layers do not change, and checking all guards takes a fifth of a step.
    torch.compiler.set_stance("eager_on_recompile", skip_guard_eval_unsafe=True)


def _compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
    def guards(entries: Sequence[Any]) -> list[bool]:
        """All but that of torch's global state: of that only the number of threads changes, and the code allows it."""
        return [entry.guard_type != "GLOBAL_STATE" for entry in entries]

    return torch.compile(forward, dynamic=True, fullgraph=True, options={"guard_filter_fn": guards})


def _output(result: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return (result if isinstance(result, torch.Tensor) else result[0]).float()


def _decoder_layers(network: Any) -> list[torch.nn.Module]:
    """Return the decoder layers: the module list with the configuration's number of layers; or None."""
    count = network.config.get_text_config().num_hidden_layers
    lists = [module for module in network.modules() if isinstance(module, torch.nn.ModuleList)]
    return next((list(modules) for modules in lists if len(modules) == count), [])
