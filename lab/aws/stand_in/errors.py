"""Errors of a request become one line for the user."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import grpc
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lab.aws.stand_in import GoneError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 600


def told(method: Callable[..., Any]) -> Callable[..., Any]:
    """End a servicer method with a one-line error if it or the API refuses."""

    @functools.wraps(method)
    def telling(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except ClientError as error:
            said = error.response["Error"]
            words = " ".join(said.get("Message", "").split())[:_LONGEST]
            message = f"{error.operation_name}: {said.get('Code')}: {words}"
        except ResponseParserError:
            message = "the lab's AWS API failed; see lab.aws.server.log"
        except BotoCoreError as error:
            message = f"{type(error).__name__}: {error}"
        except (RefusedError, GoneError) as error:
            message = str(error)
        context.abort(grpc.StatusCode.UNKNOWN, message)
        raise AssertionError("unreachable: abort raises")

    return telling
