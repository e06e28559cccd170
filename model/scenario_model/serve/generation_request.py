"""From parameters to what an engine takes, and from its refusals to answers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from scenario_model.errors import InputError
from scenario_model.serve.engine.interface import EngineFailed, EngineStopped, GenerationRequest, QueueFull
from scenario_model.serve.errors import ApiError, bad_request
from scenario_model.serve.parameters import ChatParameters
from scenario_model.serve.service import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenario_model.serve.parameters import CompletionParameters, Parameters
    from scenario_model.serve.prompts import PromptEncoder
    from scenario_model.serve.service import Service
    from scenario_model.serve.turns import Turn

# Default of OpenAI's completions endpoint.
_COMPLETION_TOKENS = 16


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Why the engine or its queues refuse a request, as answers."""
    try:
        yield
    except QueueFull as full:
        raise unavailable("The server is busy: the request queue is full.", full.retry_after_s) from None
    except (EngineStopped, EngineFailed):
        raise unavailable("The server is not accepting new requests.") from None
    except InputError as error:
        raise bad_request(str(error)) from None


def check_model(service: Service, wanted: str) -> None:
    """Accept the release's name, alone or with its digest. Raises ApiError 404 for any other."""
    if wanted not in (service.name, service.release):
        raise ApiError(
            404,
            f"The model '{wanted:.200}' does not exist here; use '{service.name}' ({service.release}).",
            code="model_not_found",
            param="model",
        )


async def request_of(
    wanted: ChatParameters | CompletionParameters, encoder: PromptEncoder, turn: Turn
) -> GenerationRequest:
    """Encode the prompt, and check what is wanted against the model. Raises ApiError 400."""
    if isinstance(wanted, ChatParameters):
        prompt, parameter, default = await encoder.chat(wanted.messages, turn.add), "messages", None
    else:
        prompt = await encoder.completion(wanted.prompt, turn.add)
        parameter, default = "prompt", _COMPLETION_TOKENS
    max_tokens = default if wanted.max_tokens is None else wanted.max_tokens
    return GenerationRequest(
        prompt=prompt, max_tokens=encoder.room(prompt, max_tokens, parameter), **_sampling(wanted)
    )


def _sampling(wanted: Parameters) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in ("temperature", "top_p", "seed", "stop", "ignore_eos")}
