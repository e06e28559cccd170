"""`POST /v1/feedback`: what a person thinks of an answer; only of one that the same key got, and not long ago."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from starlette.responses import Response

from scenario_model.serve.errors import ApiError, bad_request
from scenario_model.serve.parameters import parse_json
from scenario_model.serve.request_body import read_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from scenario_model.canary.judge import Arm
    from scenario_model.serve.request_log import Call
    from scenario_model.serve.settings import Limits

Rating = Literal["good", "bad"]
_RATINGS: tuple[Rating, ...] = ("good", "bad")
_REMEMBERED = 50_000


class Rated(NamedTuple):
    """An answer: the key that got it, and which release gave it."""

    key: str
    arm: Arm


class Feedback:
    """The endpoint, and the answers that may be rated. `take`: what is done with a rating."""

    def __init__(self, limits: Limits, take: Callable[[Arm, Rating], None]) -> None:
        self._limits, self._take = limits, take
        self._answers: OrderedDict[str, Rated] = OrderedDict()

    def remember(self, answer: str, rated: Rated) -> None:
        """Let an answer be rated, once."""
        self._answers[answer] = rated
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a rating: `{"id": "…", "rating": "good" | "bad"}`. Errors leave it as ApiError."""
        call: Call = scope["state"]["call"]
        body: dict[str, Any] = parse_json(await read_body(scope, receive, self._limits))
        if unknown := sorted(set(body) - {"id", "rating"}):
            raise bad_request(f"Unknown field '{unknown[0]:.100}': send 'id' and 'rating'.", unknown[0])
        rating, answer = body.get("rating"), body.get("id")
        if rating not in _RATINGS:
            raise bad_request("'rating' must be 'good' or 'bad'.", "rating")
        known = self._answers.get(answer) if isinstance(answer, str) else None
        if known is None or known.key != call.key:
            raise ApiError(
                404,
                "No answer of that 'id' can be rated: it is not yours, was rated already, or is too old.",
                code="answer_not_found",
                param="id",
            )
        del self._answers[str(answer)]
        self._take(known.arm, rating)
        await Response(status_code=204)(scope, receive, send)
