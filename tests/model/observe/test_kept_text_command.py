"""`scenario-model kept-text show`, as people run it: kept text becomes data for training."""

from __future__ import annotations

import json
import stat
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from scenario_model.data.text import read_text
from scenario_model.errors import InputError, Refused
from scenario_model.observe.kept_text_command import command
from scenario_model.signing import keys
from tests.model.observe.test_kept_text import RELEASE, Server

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND = "What is a \u201csite\u201d?\n\nSay it in one line.", "And a ring?"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """One that kept two windows' texts, just now."""
    server = Server(tmp_path)
    server.clock.now = time.time() // 60 * 60 - 120
    observer = server.observer(server.wanted)
    server.pass_window(observer, FIRST)
    server.pass_window(observer, SECOND)
    return server


def show(server: Server, *arguments: str | Path, key: str = "reader.pem") -> str:
    told = ["show", str(server.text), "--key", str(server.folder / key), *map(str, arguments)]
    done = CliRunner().invoke(command, told, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_its_output_is_data_for_training(server: Server) -> None:
    out = server.folder / "kept.jsonl"
    show(server, "--out", out)
    documents, notes = read_text(out)
    assert ([each.text for each in documents], notes) == ([FIRST, SECOND], ())
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_without_a_file_it_prints_them_with_what_was_served_and_found(server: Server) -> None:
    first, second = map(json.loads, show(server).splitlines())
    assert (first["text"], first["release"], first["asks"]) == (FIRST, RELEASE, "nothing")
    assert first["start"] < second["start"]


def test_another_key_is_refused_in_one_line_that_names_the_right_one(server: Server) -> None:
    keys.create_pair(server.folder / "other.pem", server.folder / "other.pub")
    right = keys.fingerprint(keys.load_public(server.folder / "reader.pub"))[:16]
    with pytest.raises(Refused, match=rf"is not encrypted to this key; .* SHA-256 {right}…$"):
        show(server, "--out", server.folder / "kept.jsonl", key="other.pem")
    assert not (server.folder / "kept.jsonl").exists()


def test_a_torn_file_is_named_the_others_are_read_and_the_end_is_an_error(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = server.files[0]
    torn.write_bytes(torn.read_bytes()[:-7])
    out = server.folder / "kept.jsonl"
    with pytest.raises(Refused, match=r"1 of 2 files are left out; the others were read"):
        command.main(
            ["show", str(server.text), "--key", str(server.folder / "reader.pem"), "--out", str(out)],
            standalone_mode=False,
        )
    assert f"{torn}: is torn, or was altered; remove it" in capsys.readouterr().err
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == [SECOND]


def test_files_of_another_recipient_are_counted_and_left_out(server: Server) -> None:
    keys.create_pair(server.folder / "other.pem", server.folder / "other.pub")
    other = server.wanted | {"recipient": (server.folder / "other.pub").read_text()}
    server.pass_window(server.observer(other), "to somebody else")
    with pytest.raises(Refused, match=r"1 of 3 files are left out, 1 of them because they are encrypted to"):
        show(server)


def test_what_has_expired_is_not_shown_although_the_file_was_copied_away(server: Server) -> None:
    server.clock.now -= 3 * 86_400
    server.pass_window(server.observer(server.wanted | {"days": 1}), "from before")
    assert len(server.files) == 3
    assert [json.loads(line)["text"] for line in show(server).splitlines()] == [FIRST, SECOND]


def test_a_folder_with_nothing_in_it_and_a_name_that_is_no_datas_are_refused(server: Server) -> None:
    with pytest.raises(InputError, match=r"kept.csv: has another name than data .*; name it \.jsonl"):
        show(server, "--out", server.folder / "kept.csv")
    for path in server.files:
        path.unlink()
    with pytest.raises(
        InputError, match=r"text: has no kept text .*; give the folder `text` in the server's"
    ):
        show(server)
    server.text.rmdir()
    with pytest.raises(InputError, match="text: cannot be read: No such file or directory"):
        show(server)
