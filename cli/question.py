"""One question to the deployed model, over HTTPS, trusting only the stack's own CA."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from typing import Any

from cli import CliError

QUESTION = "What does the with statement do in Python?"
_MAX_TOKENS = 80
_TIMEOUT_S = 15.0
# Old processors that do other work, too, generate a token in some seconds.
_ANSWER_S = 300.0


class NoAnswerError(CliError):
    """The endpoint cannot be reached or answers with an error."""


def ask(outputs: dict[str, Any], question: str = QUESTION) -> tuple[str, str]:
    """Return the model's answer and the release that produced it.

    `outputs` are the stack's: `endpoint`, `api_key`, `ca_certificate` (PEM). Raises NoAnswerError if the endpoint
    is not ready within 15 s, or has not answered after five minutes.
    """
    missing = [name for name in ("endpoint", "api_key", "ca_certificate") if not outputs.get(name)]
    if missing:
        raise NoAnswerError(f"the stack has no output {', '.join(missing)}")
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return _ask_once(outputs, question)
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > deadline:  # 503: loading, or draining
                raise NoAnswerError(f"{outputs['endpoint']} answers {error.code}") from None
        except OSError as error:
            if time.monotonic() > deadline:
                raise NoAnswerError(f"{outputs['endpoint']}: {getattr(error, 'reason', error)}") from None
        time.sleep(0.5)


def _ask_once(outputs: dict[str, Any], question: str) -> tuple[str, str]:
    trust = ssl.create_default_context(cadata=outputs["ca_certificate"])
    endpoint = outputs["endpoint"].rstrip("/")
    # No proxy: hosts on the premises are reached directly.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )
    headers = {"Authorization": f"Bearer {outputs['api_key']}", "Content-Type": "application/json"}
    with opener.open(urllib.request.Request(f"{endpoint}/models", headers=headers), timeout=10) as answer:  # noqa: S310
        model = json.load(answer)["data"][0]["id"]
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": _MAX_TOKENS,
        "temperature": 0,
    }
    request = urllib.request.Request(  # noqa: S310
        f"{endpoint}/chat/completions", data=json.dumps(body).encode(), headers=headers
    )
    with opener.open(request, timeout=_ANSWER_S) as answer:
        return json.load(answer)["choices"][0]["message"]["content"].strip(), model
