"""Hosts that come minutes apart wait for each other, say so, and start together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from scenario_model.errors import TemporaryError
from scenario_model.train.gathering import Waiting, gather

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = "127.0.0.1"


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind((HERE, 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def hosts() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


class Host:
    """One host that gathers with the others, and what it says."""

    def __init__(
        self, threads: ThreadPoolExecutor, port: int, rank: int, of: int, patience_s: float = 60.0
    ) -> None:
        self.lines: list[str] = []
        waiting = Waiting(patience_s, self.lines.append, every_s=0.2)
        self.done: Future[None] = threads.submit(gather, HERE, port, rank, of, waiting)

    def says(self, text: str) -> None:
        deadline = time.monotonic() + 30
        while not any(text in line for line in self.lines):
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)


def test_whoever_comes_last_all_start_together(hosts: ThreadPoolExecutor, port: int) -> None:
    early = Host(hosts, port, 2, of=3)
    early.says("waiting for worker 0, ")
    first = Host(hosts, port, 0, of=3)
    first.says("waiting for worker 1 of 3, ")
    early.says("waiting for the workers that worker 0 waits for, ")
    assert not early.done.done()
    assert not first.done.done()
    last = Host(hosts, port, 1, of=3)
    for each in (early, first, last):
        each.done.result(30)
    with socket.create_server((HERE, port)):
        pass  # free for torchrun at once


def test_a_host_that_goes_again_while_all_wait_is_waited_for_again(
    hosts: ThreadPoolExecutor, port: int
) -> None:
    first = Host(hosts, port, 0, of=3)
    first.says("workers 1, 2 of 3")
    with socket.create_connection((HERE, port)) as goes:
        goes.sendall(b"1\n")
        first.says("worker 2 of 3")
    other = Host(hosts, port, 2, of=3)
    first.says("worker 1 of 3")
    again = Host(hosts, port, 1, of=3)
    for each in (first, other, again):
        each.done.result(30)


def test_who_tells_no_rank_is_not_taken_for_a_host(hosts: ThreadPoolExecutor, port: int) -> None:
    first = Host(hosts, port, 0, of=2)
    first.says("worker 1 of 2")
    for told in (b"GET / HTTP/1.1\r\n", b"7\n", b"0\n", b"1"):
        with socket.create_connection((HERE, port), timeout=30) as other:
            other.sendall(told)
            assert other.recv(1) == b"", "it is shown the door"
    assert not first.done.done()
    Host(hosts, port, 1, of=2).done.result(30)
    first.done.result(30)


def test_a_host_waits_on_if_another_program_has_the_port(hosts: ThreadPoolExecutor, port: int) -> None:
    with socket.create_server((HERE, port)) as old:  # such as the launcher of the run before
        host = Host(hosts, port, 1, of=2)
        connection, _ = old.accept()
        with connection:
            assert connection.recv(16) == b"1\n"
            connection.sendall(b"no")
    first = Host(hosts, port, 0, of=2)
    for each in (host, first):
        each.done.result(30)


def test_after_its_patience_a_host_names_who_did_not_come(hosts: ThreadPoolExecutor, port: int) -> None:
    first = Host(hosts, port, 0, of=12, patience_s=3.2)
    first.says("workers 1, 2")
    other = Host(hosts, port, 11, of=12, patience_s=3.2)
    with pytest.raises(
        TemporaryError, match=r"^waited [34] s for workers 1, 2, 3, 4, 5, 6, 7, 8 and 2 more of 12$"
    ):
        first.done.result(30)
    with pytest.raises(
        TemporaryError, match=r"^waited [345] s for (worker 0|the workers that worker 0 waits for)$"
    ):
        other.done.result(30)


def test_minutes_are_said_once_each() -> None:
    lines: list[str] = []
    waiting = Waiting(3600.0, lines.append)
    for seconds in (0, 59, 61, 90, 119, 121, 185):
        waiting._begun = time.monotonic() - seconds
        waiting.still("worker 0")
    assert lines == [
        "waiting for worker 0, 1 min",
        "waiting for worker 0, 2 min",
        "waiting for worker 0, 3 min",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_told_to_stop_while_it_waits_a_host_ends_at_once(rank: int, port: int) -> None:
    launcher = [sys.executable, "-m", "scenario_model.train.torchrun", "--nnodes=2", f"--node-rank={rank}"]
    launcher += [f"--master-addr={HERE}", f"--master-port={port}", "--rdzv-conf=timeout=3600"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*launcher, "-m", "this"], env=environment, stderr=subprocess.PIPE, text=True
    ) as host:
        if rank == 0:
            _until_it_listens(port, host)
        else:
            with socket.create_server((HERE, port)) as first:
                first.settimeout(120)
                with first.accept()[0] as connection:
                    assert connection.recv(16) == b"1\n"
        begun = time.monotonic()
        host.send_signal(signal.SIGTERM)
        _, said = host.communicate(timeout=60)
    assert host.returncode == 128 + signal.SIGTERM, said
    assert time.monotonic() - begun < 20


def _until_it_listens(port: int, host: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert host.poll() is None
        assert time.monotonic() < deadline
        try:
            socket.create_connection((HERE, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
