"""Who answers a request: the running release, or a canary."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scenario_model.canary.judge import Arm
    from scenario_model.serve.engine.interface import Generation
    from scenario_model.serve.service import Service


class Seat(NamedTuple):
    """What answers a request: a service, and whether it is the canary's."""

    service: Service
    arm: Arm


class Accepted(NamedTuple):
    """A request that an engine has taken."""

    generation: Generation
    prompt: tuple[int, ...]
    seat: Seat
