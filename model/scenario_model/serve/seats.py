"""Who answers a request: the running release, or a canary; and what a gateway may have besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scenario_model.canary.judge import Arm
    from scenario_model.observe.observer import Observer
    from scenario_model.serve.canary import Canary
    from scenario_model.serve.engine.interface import Generation
    from scenario_model.serve.feedback import Feedback
    from scenario_model.serve.metrics import Metrics
    from scenario_model.serve.routing import CloudRoute
    from scenario_model.serve.service import Service


class Seat(NamedTuple):
    """What answers a request: a service, its metrics, and whether it is the canary's."""

    service: Service
    metrics: Metrics
    arm: Arm


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a gateway may have besides its service.

    Attributes:
        route: to the cloud, for what may leave.
        observer: takes notes of the traffic.
        canary: another release, for a share of the conversations.
        feedback: lets answers be rated.

    """

    route: CloudRoute | None = None
    observer: Observer | None = None
    canary: Canary | None = None
    feedback: Feedback | None = None


class Accepted(NamedTuple):
    """A request that an engine has taken."""

    generation: Generation
    prompt: tuple[int, ...]
    seat: Seat
