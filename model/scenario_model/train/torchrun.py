"""torchrun as a service on each of several hosts, with torchrun's own arguments.

`python -m scenario_model.train.torchrun --nnodes N --node-rank R --master-addr FIRST --master-port PORT
--nproc-per-node P -m scenario_model train --config …`

torchrun exits with 1 whatever its processes' exit codes, and lets them listen on the address of the host's
own name, which on Debian is 127.0.1.1. This wrapper passes on their exit code, so that a service manager
restarts a process that lost its peers (75, or a signal) but not one with a final result (0, 1, 2); and it
makes them listen on the interface that leads to the first host.

`--rdzv-conf timeout=SECONDS` is how long the hosts wait for each other before they start.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

from scenario_model.errors import TemporaryError
from scenario_model.train.gathering import Waiting, gather

if TYPE_CHECKING:
    from argparse import Namespace

_DECIDED = (1, 2)
_TOLD = {*_DECIDED, os.EX_TEMPFAIL, 128 + signal.SIGTERM}
"""Exit codes of our processes that have a meaning."""
_PORT, _PATIENCE_S = 29500, 600.0
"""torchrun's port, and how long it waits for other hosts, if nothing is said."""
_MEETING_S = 300.0
"""How long it may take to meet once all of them are there."""
_SIOCGIFADDR = 0x8915  # netdevice(7)


def main() -> None:
    """Run this host's processes until they end."""
    # Until torchrun handles it: as PID 1 of a container, this process would otherwise ignore it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    code = _run(parse_args(sys.argv[1:]))  # type: ignore[no-untyped-call]
    sys.stderr.flush()
    # At once: a restarted host must not meet the store of a launcher that is exiting.
    os._exit(code)


def _run(arguments: Namespace) -> int:
    logging.disable(logging.ERROR)  # it prints twenty lines per process; the summary below is enough
    try:
        _meet(arguments)
        run(arguments)  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        if not _TOLD & set(codes):
            _say(f"a process of this host ended with {', '.join(map(_words, codes))}")
        return exit_code(codes)
    except SignalException as error:
        return 128 + error.sigval
    except (DistError, OSError, TemporaryError) as error:
        _say(f"{arguments.master_addr} port {arguments.master_port}: not every host joined: {_first(error)}")
        return os.EX_TEMPFAIL
    return 0


def _meet(arguments: Namespace) -> None:
    """Wait until all hosts are there; after that, torchrun itself waits no longer than it takes to meet.

    Raises TemporaryError if they did not come in time.
    """
    conf = dict(each.split("=", 1) for each in arguments.rdzv_conf.split(",") if each)
    waiting = Waiting(float(conf.get("timeout", _PATIENCE_S)), _say)
    hosts = int(arguments.nnodes) if arguments.nnodes.isdigit() else 1  # a range is for other rendezvous
    if hosts > 1 and arguments.rdzv_backend == "static":
        port = arguments.master_port or _PORT
        gather(arguments.master_addr, port, arguments.node_rank, hosts, waiting)
        conf["timeout"] = str(int(min(waiting.patience_s, _MEETING_S)))
        arguments.rdzv_conf = ",".join(f"{name}={value}" for name, value in conf.items())
    _listen_on(interface_to(arguments.master_addr, waiting))


def exit_code(codes: list[int]) -> int:
    """The service's exit code, from its processes' exit codes: a final result wins."""
    decided = [code for code in codes if code in _DECIDED]
    return (decided or [code for code in codes if code > 0] or [os.EX_TEMPFAIL])[0]


def interface_to(address: str, waiting: Waiting) -> str | None:
    """The network interface that leads to an address; None if no interface of this host has the local address.

    Raises OSError while there is no route, as before the network is up.
    """
    family, kind, protocol, _, target = _looked_up(address, waiting)
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(target)  # sends nothing
        own = probe.getsockname()[0]
    return next((name for _, name in socket.if_nameindex() if own in _addresses(name)), None)


def _looked_up(address: str, waiting: Waiting) -> Any:
    """Resolve a name; in a cluster it is unknown until the first pod has an address."""
    while True:
        try:
            return socket.getaddrinfo(address, 9, type=socket.SOCK_DGRAM)[0]
        except socket.gaierror:
            waiting.still(f"the name {address}")
        time.sleep(1)


def _addresses(interface: str) -> set[str]:
    found = set()
    request = struct.pack("256s", interface.encode())
    # A suppressed error: it has no IPv4 address.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, contextlib.suppress(OSError):
        found.add(socket.inet_ntoa(fcntl.ioctl(asking, _SIOCGIFADDR, request)[20:24]))
    table = Path("/proc/net/if_inet6")
    for line in table.read_text(encoding="ascii").splitlines() if table.exists() else ():
        fields = line.split()
        if fields[-1] == interface:
            found.add(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0])))
    return found


def _listen_on(interface: str | None) -> None:
    if interface:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", f"={interface}")


def _words(code: int) -> str:
    if code == -signal.SIGKILL:
        return "SIGKILL (usually out of memory)"
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _say(text: str) -> None:
    print(f"scenario-model: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
