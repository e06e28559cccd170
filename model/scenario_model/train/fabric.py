"""Whether NCCL uses EFA where the pods have it: without its plugin it falls back to TCP, a thirtieth as fast, silently.

NCCL tells its choice in its log alone (`Using network …`, in src/init.cc; since 2.26 also `Assigned NET plugin …`, in
src/plugin/net.cc). aws-ofi-nccl calls itself `AWS Libfabric`, `Libfabric` since 1.14, and names its provider.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from scenario_model.errors import Refused

if TYPE_CHECKING:
    from scenario_model.train.parallel import World

_LEVELS = ("INFO", "TRACE")
_NETWORK = re.compile(r"NCCL INFO (?:Using network|Assigned NET plugin) (.+?)(?: to comm)?\s*$", re.MULTILINE)
_PROVIDER = re.compile(r"NET/OFI Selected [Pp]rovider is (\w+)")
_PLUGIN = "Libfabric"
_HAS_PLUGIN = (
    "the image has its plugin, which found no EFA: look at the node's device plugin, and at /dev/infiniband"
)
_HAS_NONE = "use an image with libfabric and aws-ofi-nccl: on AWS make image, for another tag"


def is_wanted() -> bool:
    """Whether the pod has EFA interfaces and wants them used."""
    return os.environ.get("FI_PROVIDER") == "efa"


def have_it_logged() -> None:
    """Make NCCL log to a file, before it starts; only where EFA is wanted."""
    if not is_wanted():
        return
    if os.environ.get("NCCL_DEBUG", "").upper() not in _LEVELS:
        os.environ["NCCL_DEBUG"] = _LEVELS[0]
    os.environ.setdefault("NCCL_DEBUG_FILE", str(Path(tempfile.gettempdir(), "nccl-%h-%p.log")))


def network(log: str) -> str | None:
    """The network in NCCL's log: its name and its provider if there is one; None if the log does not tell."""
    names, providers = _NETWORK.findall(log), _PROVIDER.findall(log)
    if not names:
        return None
    return f"{names[-1]} ({providers[-1]})" if providers and _PLUGIN in names[-1] else str(names[-1])


def insist(world: World) -> None:
    """Raise Refused, in every process, if there are several hosts, EFA is wanted, and NCCL uses something else."""
    if len(set(world.hosts)) == 1 or world.device.type != "cuda" or not is_wanted():
        return
    wrong = complaint(_log())
    told = [each for rank in range(world.size) if (each := world.share(wrong, rank))]
    if told:
        raise Refused(
            told[0],
            where="training over several hosts",
            remedy=f"{_HAS_PLUGIN if _PLUGIN in told[0] else _HAS_NONE}, or run it without EFA",
        )


def complaint(log: str) -> str:
    """What is wrong with the network in NCCL's log; empty if it is EFA, or unknown."""
    used = network(log)
    if used is None or (_PLUGIN in used and "(" not in used) or used.endswith("(efa)"):
        return ""
    return f"the pods have EFA interfaces, but NCCL uses the network {used} of {socket.gethostname()}"


def _log() -> str:
    """NCCL's log of this process; empty if there is none."""
    name = os.environ.get("NCCL_DEBUG_FILE", "")
    path = Path(name.replace("%h", socket.gethostname()).replace("%p", str(os.getpid())))
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
