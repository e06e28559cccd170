"""NCCL's own lines tell whether it uses EFA; where the pods have EFA and it does not, no training begins."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
import torch

from scenario_model.errors import Refused
from scenario_model.train import fabric
from scenario_model.train.parallel import World

if TYPE_CHECKING:
    from pathlib import Path

# Lines as NCCL wrote them on AWS: https://github.com/NVIDIA/nccl/issues/1597, /527; aws/aws-ofi-nccl#803, #67.
P5EN = """\
8h200-2:6831:6840 [0] NCCL INFO NET/OFI Skipping NCCL_PROTO checks on P5en + RDMA
8h200-2:6831:6840 [0] NCCL INFO PROFILER/Plugin: Could not find: libnccl-profiler.so.
8h200-2:6831:6840 [0] NCCL INFO NET/OFI Selected Provider is efa (found 16 nics)
8h200-2:6831:6840 [0] NCCL INFO Using network Libfabric
"""
P4D = """\
ip-10-216-178-255:416482:416482 [4] NCCL INFO NET/Plugin: Failed to find ncclCollNetPlugin_v6 symbol.
ip-10-216-178-255:416482:416525 [4] NCCL INFO NET/OFI Using aws-ofi-nccl 1.4.0aws
ip-10-216-178-255:416482:416525 [4] NCCL INFO NET/OFI Selected Provider is efa
ip-10-216-178-255:416482:416525 [4] NCCL INFO Using network AWS Libfabric
"""
WITHOUT_PLUGIN = """\
node:152:386 [0] NCCL INFO NET/IB : No device found.
node:152:386 [0] NCCL INFO NET/Socket : Using [0]eth0:10.0.4.51<0>
node:152:386 [0] NCCL INFO Initialized NET plugin Socket
node:152:386 [0] NCCL INFO Assigned NET plugin Socket to comm
node:152:386 [0] NCCL INFO Using network Socket
"""
PLUGIN_OVER_TCP = """\
6f2d8a82d208:1287:1328 [0] NCCL INFO NET/OFI Initializing aws-ofi-nccl 1.12.1-aws
6f2d8a82d208:1287:1328 [0] NCCL INFO NET/OFI Selected Provider is tcp (found 1 nics)
6f2d8a82d208:1287:1328 [0] NCCL INFO Using network AWS Libfabric
"""
# The line of the plugin that images/efa.Containerfile builds, as it wrote it in that image.
PLUGIN_OF_OURS = """\
node:1:2 [0] NCCL INFO NET/OFI Selected provider is tcp, fabric is 192.0.2.0/24 (found 1 nics)
node:1:2 [0] NCCL INFO Using network Libfabric
"""
ASSIGNED = "node:1:2 [0] NCCL INFO Assigned NET plugin Libfabric to comm\n"


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (P5EN, "Libfabric (efa)"),
        (P4D, "AWS Libfabric (efa)"),
        (WITHOUT_PLUGIN, "Socket"),
        (PLUGIN_OVER_TCP, "AWS Libfabric (tcp)"),
        (PLUGIN_OF_OURS, "Libfabric (tcp)"),
        (ASSIGNED, "Libfabric"),
        ("node:1:2 [0] NCCL INFO Bootstrap : Using eth0:10.0.4.51<0>\n", None),
        ("", None),
    ],
)
def test_the_network_is_read_from_the_log(log: str, expected: str | None) -> None:
    assert fabric.network(log) == expected


class Alone(World):
    """A process that hears of no other: a stand-in for a world of two hosts."""

    def share(self, value: Any, source: int = 0) -> Any:
        assert source in range(self.size)
        return value


@pytest.fixture
def nccl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Has NCCL's log, as it would be there after the first collective."""
    monkeypatch.setenv("FI_PROVIDER", "efa")
    monkeypatch.setenv("NCCL_DEBUG", "WARN")
    monkeypatch.setenv("NCCL_DEBUG_FILE", str(tmp_path / "nccl-%h-%p.log"))
    fabric.have_it_logged()
    assert os.environ["NCCL_DEBUG"] == "INFO"
    return (tmp_path / f"nccl-{socket.gethostname()}-{os.getpid()}.log").write_text


TWO_HOSTS = Alone(0, 2, torch.device("cuda"), (0, 1))


@pytest.mark.parametrize(
    ("log", "used", "remedy"),
    [
        (WITHOUT_PLUGIN, "Socket", "use an image with libfabric and aws-ofi-nccl: on AWS make image"),
        (PLUGIN_OVER_TCP, r"AWS Libfabric \(tcp\)", "the image has its plugin, which found no EFA"),
    ],
)
def test_a_training_over_hosts_that_have_efa_does_not_begin_over_tcp(
    log: str, used: str, remedy: str, nccl: Any
) -> None:
    nccl(log)
    with pytest.raises(
        Refused, match=f"the pods have EFA interfaces, but NCCL uses the network {used} of "
    ) as refused:
        fabric.insist(TWO_HOSTS)
    assert refused.value.exit_code == 1
    assert remedy in str(refused.value)
    assert str(refused.value).endswith("or run it without EFA")


@pytest.mark.parametrize("log", [P5EN, P4D, ASSIGNED, ""])
def test_it_begins_over_efa_and_where_the_log_does_not_tell(log: str, nccl: Any) -> None:
    nccl(log)
    fabric.insist(TWO_HOSTS)


def test_on_one_host_and_where_efa_is_not_wanted_nothing_is_asked(
    nccl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nccl(WITHOUT_PLUGIN)
    fabric.insist(Alone(0, 2, torch.device("cuda"), (0, 0)))
    monkeypatch.delenv("FI_PROVIDER")
    fabric.insist(TWO_HOSTS)


def test_where_efa_is_not_wanted_nccl_logs_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FI_PROVIDER", "NCCL_DEBUG", "NCCL_DEBUG_FILE"):
        monkeypatch.delenv(name, raising=False)
    fabric.have_it_logged()
    assert not {"NCCL_DEBUG", "NCCL_DEBUG_FILE"} & set(os.environ)
