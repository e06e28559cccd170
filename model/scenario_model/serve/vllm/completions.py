"""vLLM's request for one answer, and the interpretation of its events.

The protocol is that of https://docs.vllm.ai/en/stable/serving/openai_compatible_server/#completions-api, with
token ids in both directions: prompts are tokenized by the gateway, and generated tokens are counted exactly.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scenario_model.serve.engine.interface import Delta, EngineFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenario_model.serve.engine.interface import FinishReason, GenerationRequest

PATH = "/v1/completions"
DONE = "[DONE]"
_REASONS: Mapping[Any, FinishReason | None] = {None: None, "stop": "stop", "length": "length"}


def body(request: GenerationRequest) -> dict[str, Any]:
    """Return the request's JSON."""
    return {
        "prompt": list(request.prompt),
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": list(request.stop),
        "ignore_eos": request.ignore_eos,
        "stream": True,
        "return_token_ids": True,
    }


def delta(data: str) -> Delta:
    """Read one event. Raises EngineFailed if it reports an error or is unexpected."""
    try:
        event = json.loads(data)
        if "error" in event:
            # Its message may quote the request.
            raise EngineFailed(f"vLLM could not complete an answer ({event['error'].get('type')})")
        (choice,) = event["choices"]
        return Delta(choice["text"], len(choice["token_ids"]), _REASONS[choice["finish_reason"]])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineFailed(f"unexpected answer from vLLM ({type(error).__name__})") from None
