"""Kept text: off unless told, encrypted to a key that the server has not, for a while, and never in its way."""

from __future__ import annotations

import json
import resource
import stat
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from scenario_model.config import load
from scenario_model.errors import InputError, Refused
from scenario_model.observe import sealed
from scenario_model.observe.observer import Observer
from scenario_model.observe.settings import ObservationHere
from scenario_model.signing import keys
from tests.model.drift.texts import made

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

RELEASE = "assistant@sha256:" + "ab" * 32
DAY = 86_400.0
SECRET = "the planted secret of a prompt"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now


class Server:
    """An observer whose tokens are bytes, as a server has it; what it says; and the recipient's keys."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.said = folder, Clock(), list[str]()
        keys.create_pair(folder / "reader.pem", folder / "reader.pub")
        self.state = folder / "observation"
        self.text = self.state / "text"

    def observer(self, kept_text: dict[str, object] | None) -> Observer:
        told = {"window_seconds": 60.0, "state": str(self.state), "kept_text": kept_text}
        settings = load(ObservationHere, told, "serve.json")
        observer = Observer(settings, RELEASE, self.folder / "release", self.said.append, self.clock)
        observer.decode = spelled
        return observer

    @property
    def wanted(self) -> dict[str, object]:
        return {"recipient": (self.folder / "reader.pub").read_text(), "share": 1.0}

    def pass_window(self, observer: Observer, *texts: str) -> None:
        for text in texts:
            observer.note("a client", "", tuple(text.encode()))
            observer.end(200, 12.0)
        self.clock.now += 60
        observer.look()

    @property
    def files(self) -> list[Path]:
        return sorted(self.text.iterdir()) if self.text.is_dir() else []

    def read(self) -> list[str]:
        private = keys.load_private(self.folder / "reader.pem")
        return [text for path in self.files for text in sealed.opened(path, private)[1]]


def spelled(ids: Sequence[int]) -> str:
    return bytes(ids).decode()


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_no_text_is_kept_unless_the_settings_say_so(server: Server) -> None:
    server.pass_window(server.observer(None), SECRET)
    assert server.files == []
    assert server.said == []


def test_what_is_kept_is_for_the_recipient_alone(server: Server) -> None:
    observer = server.observer(server.wanted)
    server.pass_window(observer, SECRET, "another\r\nline \u2028 and \u0085 more")
    assert server.read() == [SECRET, "another\r\nline \u2028 and \u0085 more"]
    written = [path for path in server.state.rglob("*") if path.is_file()]
    assert len(written) == 2, "the windows, and one file of texts"
    for path in written:
        assert b"planted" not in path.read_bytes()
        assert b"a client" not in path.read_bytes()
    (file,) = server.files
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.text.stat().st_mode) == 0o700


def test_what_a_conversation_repeats_is_kept_once(server: Server) -> None:
    server.pass_window(server.observer(server.wanted), "Hello.", "Hello. How are you?", "Who?")
    assert server.read() == ["Hello. How are you?", "Who?"]


def test_texts_of_a_release_with_a_baseline_are_kept_with_what_its_detectors_ask_for(server: Server) -> None:
    (server.folder / "release" / "drift").mkdir(parents=True)
    baseline = server.folder / "release" / "drift" / "baseline.safetensors"
    baseline.write_bytes(made(np.random.default_rng(1)).encoded())
    server.pass_window(server.observer(server.wanted), SECRET)
    header, texts = sealed.opened(server.files[0], keys.load_private(server.folder / "reader.pem"))
    assert texts == [SECRET]
    assert (header.release, header.asks, header.time) == (RELEASE, "nothing", "2026-01-31T12:00:00+00:00")


def test_of_many_sessions_a_share_is_kept(server: Server) -> None:
    server.pass_window(
        server.observer(server.wanted | {"share": 0.5}), *(f"{number} times" for number in range(256))
    )
    assert 64 < len(server.read()) < 192


def test_texts_expire_while_the_server_runs_and_while_it_does_not(server: Server) -> None:
    observer = server.observer(server.wanted | {"days": 2})
    server.pass_window(observer, "of the first day")
    server.clock.now += DAY
    server.pass_window(observer)
    server.pass_window(observer, "of the second day")
    assert server.read() == ["of the first day", "of the second day"]
    server.clock.now += DAY
    server.pass_window(observer)
    assert server.read() == ["of the second day"]
    server.clock.now += DAY
    server.observer(server.wanted | {"days": 2})
    assert server.files == []


def test_another_setting_shortens_what_was_promised_and_never_lengthens_it(server: Server) -> None:
    server.pass_window(server.observer(server.wanted | {"days": 3}), "for three days")
    server.clock.now += 2 * DAY
    server.pass_window(server.observer(server.wanted | {"days": 9}), "for nine days")
    server.clock.now += 2 * DAY
    server.observer(server.wanted | {"days": 30})
    assert server.read() == ["for nine days"]
    server.observer(server.wanted | {"days": 1})
    assert server.files == []


def test_turned_off_it_deletes_what_was_kept_and_what_was_half_written(server: Server) -> None:
    server.pass_window(server.observer(server.wanted), SECRET)
    (server.text / ".20260131T120000Z-14d-00000000.kept.writing").write_bytes(b"half")
    server.observer(None)
    assert not server.text.exists()


def test_the_oldest_go_first_when_there_is_no_room_for_more(server: Server) -> None:
    observer = server.observer(server.wanted | {"most_bytes": 2**20})
    for number in range(5):
        server.pass_window(observer, str(number) * 300_000)
    assert [text[0] for text in server.read()] == ["2", "3", "4"]
    server.pass_window(observer, "a" * 450_000, "b" * 450_000, "c" * 450_000)
    assert [text[0] for text in server.read()] == ["a", "b"], "one window alone is too much"
    assert sum(path.stat().st_size for path in server.files) <= 2**20


def test_a_folder_that_cannot_be_written_harms_nothing_and_is_named_once(server: Server) -> None:
    observer = server.observer(server.wanted)
    server.state.mkdir(exist_ok=True)
    server.text.write_text("in the way")
    for _ in range(3):
        server.pass_window(observer, SECRET)
    assert [window.answered for window in observer.log.read()] == [1, 1, 1]
    assert server.said == [f"{server.text}: texts cannot be kept: File exists"]
    server.text.unlink()
    server.pass_window(observer, "afterwards")
    assert server.read() == ["afterwards"]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk: what is longer cannot be written to its end."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_for_texts_keeps_the_numbers_and_nothing_half_written(server: Server) -> None:
    observer = server.observer(server.wanted)
    with files_of_at_most(50_000):
        server.pass_window(observer, "long " * 20_000)
        server.pass_window(observer, "short")
    assert server.read() == ["short"]
    assert server.said == [f"{server.text}: texts cannot be kept: File too large"]
    assert [window.answered for window in observer.log.read()] == [1, 1]


def test_a_tokenizer_that_fails_tells_the_log_nothing_of_the_text(server: Server) -> None:
    observer = server.observer(server.wanted)

    def fails(ids: Sequence[int]) -> str:
        raise ValueError(spelled(ids))

    observer.decode = fails
    server.pass_window(observer, SECRET)
    assert server.said == [f"{server.text}: texts cannot be kept: ValueError"]


def test_who_starts_the_server_is_told_that_texts_are_kept(server: Server) -> None:
    observer = server.observer(server.wanted)
    observer.start(spelled)
    observer.stop()
    name = keys.fingerprint(keys.load_public(server.folder / "reader.pub"))
    assert server.said == [
        f"texts of 100% of the sessions are kept for 14 days, encrypted to the key sha256:{name}"
    ]


@pytest.mark.parametrize("what", ["rubbish", "the private key", "a key on another curve"])
def test_a_recipient_that_is_no_public_key_is_refused_without_being_repeated(
    server: Server, what: str
) -> None:
    given = {
        "rubbish": "ssh-ed25519 AAAA",
        "the private key": (server.folder / "reader.pem").read_text(),
        "a key on another curve": _OTHER_CURVE,
    }[what]
    with pytest.raises(InputError) as refused:
        server.observer({"recipient": given})
    assert str(refused.value) == (
        "serve.json: key 'kept_text.recipient' is not a public key; write the PEM text of a public ECDSA P-256 key, as "
        "`scenario-model release key` makes one"
    )


_OTHER_CURVE = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----"""


@pytest.mark.parametrize("change", ["the line", "a byte", "the end", "the line's end", "everything"])
def test_a_file_that_was_altered_is_refused(server: Server, change: str) -> None:
    server.pass_window(server.observer(server.wanted), SECRET)
    (file,) = server.files
    content = file.read_bytes()
    until = json.loads(content.partition(b"\n")[0])["until"]
    altered = {
        "the line": content.replace(str(until).encode(), str(until + 9 * DAY).encode(), 1),
        "a byte": content[:-40] + bytes([content[-40] ^ 1]) + content[-39:],
        "the end": content[:-1],
        "the line's end": content.partition(b"\n")[0],
        "everything": b"",
    }[change]
    assert altered != content
    file.write_bytes(altered)
    with pytest.raises((Refused, InputError), match=r"is torn, or was altered|is no kept text") as refused:
        server.read()
    assert refused.value.where == str(file)
