"""How the web server answers what it does not do: a code, a few words, and when to ask again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from scenario_model.catalogue.limits import TooMuch
from scenario_model.errors import Refused, ScenarioModelError
from scenario_model.serve import logs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

RETRY_SECONDS = 5


async def _refused(request: Request, error: ScenarioModelError) -> Response:
    logs.info("refused", path=request.url.path[:200], reason=error.what)
    return JSONResponse({"error": error.what}, 403)


async def _too_much(request: Request, error: TooMuch) -> Response:
    logs.info("too much", path=request.url.path[:200], reason=error.what)
    retry = {"retry-after": str(math.ceil(error.seconds))}
    return JSONResponse({"error": error.what}, 503 if error.busy else 429, retry)


async def _unavailable(request: Request, error: ScenarioModelError) -> Response:
    logs.info("store fails", path=request.url.path[:200], reason=error.what)
    # The words are for the log: they name places in the cloud.
    return JSONResponse({"error": "the store does not answer"}, 503, {"retry-after": str(RETRY_SECONDS)})


async def _broken(request: Request, error: Exception) -> Response:
    logs.exception("internal error", path=request.url.path[:200], reason=type(error).__name__)
    return JSONResponse({"error": "internal error; see the catalogue's log"}, 500)


HANDLERS: Mapping[Any, Any] = {
    Refused: _refused,
    TooMuch: _too_much,
    ScenarioModelError: _unavailable,
    Exception: _broken,
}
