"""What a gateway may have besides its service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scenario_model.observe.observer import Observer
    from scenario_model.serve.canary import Canary
    from scenario_model.serve.feedback import Feedback
    from scenario_model.serve.losses import Losses
    from scenario_model.serve.routing import CloudRoute
    from scenario_model.serve.status import StatusPage


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a gateway may have besides its service.

    Attributes:
        route: to the cloud, for what may leave.
        observer: takes notes of the traffic.
        canary: another release, for a share of the conversations.
        losses: of what is asked, by the served models.
        feedback: lets answers be rated.
        status: shows how it is, to people.

    """

    route: CloudRoute | None = None
    observer: Observer | None = None
    canary: Canary | None = None
    losses: Losses | None = None
    feedback: Feedback | None = None
    status: StatusPage | None = None
