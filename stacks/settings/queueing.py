"""The settings of the queue of a training cluster."""

from __future__ import annotations

from typing import Literal

from scenario_model.config import Section
from stacks.settings.base import LocalPath


class Queueing(Section):
    """Who admits the jobs."""

    queueing: Literal["install", "existing"] = "install"
    """Install Kueue and JobSet, or use the cluster's."""
    charts: LocalPath | None = None
    """Folder on this machine with the charts to install, as `helm pull` writes them; default: from the internet."""
