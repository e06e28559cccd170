"""What our Ansible modules tell about the host."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
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


def test_of_what_a_command_printed_the_reason_is_the_line_that_names_it(
    module: Callable[[str], ModuleType],
) -> None:
    printed = "importing x\nscenario-model: data.jsonl:3: not JSON; mend the line\n"
    assert module("scenario_model")._reason(printed) == "data.jsonl:3: not JSON; mend the line"
