"""What our Ansible modules tell about the host."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def test_progress_is_one_line_for_people(module: Callable[[str], ModuleType]) -> None:
    record: dict[str, Any] = {"step": 40, "of": 120, "loss": 2.1, "tokens_per_s": 340.4, "seconds_left": 185}
    said = module("training_progress").describe(record)
    assert said == "step 40/120, loss 2.100, 340 tokens/s, 3 min 05 s left"


def test_progress_without_figures_yet_says_what_is_known(module: Callable[[str], ModuleType]) -> None:
    record = {"step": 1, "of": 9, "loss": None, "tokens_per_s": None, "seconds_left": None}
    assert module("training_progress").describe(record) == "step 1/9"


def test_a_line_that_is_still_being_written_is_not_read(
    module: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    file = tmp_path / "progress.jsonl"
    assert module("training_progress").latest(file) == "preparing"
    file.write_text(json.dumps({"step": 1, "of": 9}) + "\n" + '{"step": 2, "o')
    assert module("training_progress").latest(file) == "step 1/9"


def test_a_run_on_which_no_step_is_made_says_since_when(
    module: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    progress = module("training_progress")
    assert progress.quiet_seconds(tmp_path, 1e9) == 1e9
    assert progress.in_words(tmp_path, 1e9) == "preparing"
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "progress.jsonl").write_text(json.dumps({"step": 7, "of": 9}) + "\n")
    for name, written in (("run.json", 100), ("progress.jsonl", 500)):
        os.utime(tmp_path / name, (written, written))
    assert progress.quiet_seconds(tmp_path, 500 + 130) == 130
    assert progress.in_words(tmp_path, 30) == "step 7/9"
    assert progress.in_words(tmp_path, 130) == "step 7/9; no step for 2 min"


def test_a_port_with_a_listener_is_not_free_and_its_holder_is_found(
    module: Callable[[str], ModuleType],
) -> None:
    free_port = module("free_port")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not free_port.bindable("127.0.0.1", port)
        assert free_port.holds(os.getpid(), free_port.listeners(port))
    assert free_port.bindable("127.0.0.1", port)


def test_ports_of_root_are_reserved_unless_root_listens(
    module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    free_port = module("free_port")
    assert (
        str(free_port.first_unprivileged())
        == Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip()
    )
    monkeypatch.setattr(free_port, "first_unprivileged", lambda: 1024)
    reserved = [
        (port, user)
        for port in (443, 1023, 1024, 8443)
        for user in ("", "root", "scenario")
        if free_port.reserved(port, user)
    ]
    assert reserved == [(443, "scenario"), (1023, "scenario")]


def test_packages_are_held_once_dpkgs_lock_is_free_and_other_errors_are_said(
    module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = module("held_packages")
    monkeypatch.setattr(held.time, "sleep", lambda _: None)

    class Host:
        def __init__(self, *answers: tuple[int, str]) -> None:
            self.answers = list(answers)

        def run_command(self, command: list[str]) -> tuple[int, str, str]:
            assert command == ["apt-mark", "hold", "curl"]
            code, errors = self.answers.pop(0)
            return code, "", errors

        def fail_json(self, msg: str) -> None:
            raise RuntimeError(msg)

    locked = (100, "E: dpkg status database is locked by another process")
    host = Host(locked, locked, (0, ""))
    held._mark(host, "hold", ["curl"])
    assert host.answers == []
    with pytest.raises(RuntimeError, match="apt-mark hold curl: E: no such package"):
        held._mark(Host((100, "E: no such package")), "hold", ["curl"])


def test_of_what_a_command_printed_the_reason_is_the_line_that_names_it(
    module: Callable[[str], ModuleType],
) -> None:
    printed = "importing x\nscenario-model: data.jsonl:3: not JSON; mend the line\n"
    assert module("scenario_model").model_command.reason(printed) == "data.jsonl:3: not JSON; mend the line"
