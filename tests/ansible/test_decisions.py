"""What roles decide on the control node, and what they make of a host's answers."""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PLAYBOOKS = Path(__file__).parents[2] / "ansible"


def plugin(path: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"our_{Path(path).stem}", PLAYBOOKS / path)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


decisions = plugin("filter_plugins/scenario.py")

QUESTION = {"run": "r1", "gate": {}, "name": "assistant", "channel": "stable"}
OUTCOME = {"question": QUESTION, "release": "a@sha256:1", "passed": True}
PROMOTED = [{"action": "promote", "release": "a@sha256:1"}]
ROLLED_BACK = [*PROMOTED, {"action": "rollback", "release": "a@sha256:0"}]


@pytest.mark.parametrize(
    ("change", "state", "current", "entries", "settled"),
    [
        ({}, "done", "a@sha256:1", PROMOTED, True),
        ({}, "new", "a@sha256:1", PROMOTED, False),
        ({"question": {**QUESTION, "gate": {"minimum_gain": 1}}}, "done", "a@sha256:1", PROMOTED, False),
        ({"release": "a@sha256:2"}, "done", "a@sha256:1", PROMOTED, False),
        ({}, "done", "a@sha256:0", PROMOTED, False),
        ({}, "done", "a@sha256:0", ROLLED_BACK, True),
        ({"passed": False}, "done", "a@sha256:0", PROMOTED, True),
    ],
    ids=[
        "all done",
        "not trained",
        "another gate",
        "release is lost",
        "not promoted",
        "rolled back by hand",
        "gate failed",
    ],
)
def test_training_is_settled_when_its_outcome_answers_the_question_and_the_channel_agrees(
    change: dict[str, Any], state: str, current: str, entries: list[dict[str, Any]], settled: bool
) -> None:
    channel = {"releases": ["a@sha256:0", "a@sha256:1"], "entries": entries}
    told = {**OUTCOME, **change}
    assert decisions.settles(told, QUESTION, state=state, channel=channel, current=current) is settled


def test_without_an_outcome_nothing_is_settled() -> None:
    assert not decisions.settles({}, QUESTION, state="done", channel={}, current="")


def test_a_host_that_does_not_train_is_named_with_its_last_words() -> None:
    looks = {
        "one": {"state": "training", "log": []},
        "two": {"unreachable": True},
        "three": {"state": "stopped", "log": ["noise", "scenario-model: no space left; make room", "  "]},
        "four": {"state": "stopped", "log": []},
    }
    assert decisions.training_trouble(looks) == [
        "two cannot be reached",
        "three stopped: scenario-model: no space left; make room",
        "four stopped: no output",
    ]


def test_two_folders_of_one_user_never_share_a_unit() -> None:
    units = {decisions.definition_path(root, "inference", "systemd") for root in ("/a", "/b")}
    assert {Path(unit).parent for unit in units} == {Path("/a/services"), Path("/b/services")}
    assert len({Path(unit).name for unit in units}) == 2
    assert decisions.definition_path("/a", "inference", "supervisor") == "/a/services/inference.conf"


def test_folders_that_services_write_to_are_theirs_and_no_others() -> None:
    entries = decisions.folder_entries(["keys", "runs"], mode="0750", group="scenario", owned=["runs"])
    assert [(each["path"], each["owner"]) for each in entries] == [("keys", "root"), ("runs", "scenario")]


def test_a_runtime_is_named_by_its_sources_and_not_by_what_builds_leave_behind(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "a.py").write_text("1")
    first = decisions.package_digest(str(tmp_path), "lock", "python")
    for left in ("build/a.py", "package/__pycache__/a.pyc", ".cache/b", "x.egg-info/PKG-INFO"):
        (tmp_path / left).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / left).write_text("left behind")
    assert decisions.package_files(str(tmp_path)) == ["package/a.py"]
    assert decisions.package_digest(str(tmp_path), "lock", "python") == first
    assert decisions.package_digest(str(tmp_path), "another lock", "python") != first
    (tmp_path / "package" / "a.py").write_text("2")
    assert decisions.package_digest(str(tmp_path), "lock", "python") != first
    with pytest.raises(ValueError, match=r"model_runtime_source: .* contains no package files"):
        decisions.package_files(str(tmp_path / "not there"))


def test_a_host_that_went_missing_since_it_was_looked_at_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # The real one patches Python's sys, with which torch does not work in the same process.
    stub = ModuleType("ansible.plugins.action")
    stub.ActionBase = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ansible.plugins.action", stub)
    look = plugin("action_plugins/premises_look.py")
    known = {"root": "/srv", "expected": ["one", "two", "three"]}
    hosts = {"one": {"premises_look": known}, "two": {"premises_look": {"unreachable": True}}, "three": {}}
    variables = {"hostvars": hosts, "premises_look": known}
    variables |= {"ansible_play_hosts_all": ["one", "four"], "ansible_play_hosts": ["one"]}
    assert look.missing(variables) == ["four", "three", "two"]
    fresh = {"hostvars": hosts, "ansible_play_hosts_all": ["one"], "ansible_play_hosts": ["one"]}
    assert look.missing(fresh) == []


def test_a_folder_is_absolute_or_below_the_users_home(module: Callable[[str], ModuleType]) -> None:
    root_folder = module("premises_look").root_folder
    assert str(root_folder("/srv/x/", "system")) == "/srv/x"
    assert str(root_folder("", "system")) == "/var/lib/model-deployment-scenarios"
    assert root_folder("~/x", "systemd") == Path("~/x").expanduser()
    for wrong in ("relative/folder", "/", "~other/x"):
        with pytest.raises(ValueError, match=r"must be an absolute path, or start with ~/"):
            root_folder(wrong, "systemd")


@pytest.mark.parametrize(
    ("asking", "adopts", "said"),
    [
        ("s3-local@aa", False, ""),
        ("", False, ""),
        ("s3-local@bb", True, ""),
        ("s3-local@bb", False, "belongs to the stack s3-local of another state; remove that one first"),
        ("plant-7@bb", False, "belongs to the stack s3-local; remove that one first"),
        ("a stack that is not up yet", False, "belongs to the stack s3-local; remove that one first"),
    ],
)
def test_a_folder_that_belongs_to_another_stack_is_refused_unless_it_is_adopted(
    module: Callable[[str], ModuleType], tmp_path: Path, asking: str, adopts: bool, said: str
) -> None:
    loaded = module("premises_look")
    mark = tmp_path / ".model-deployment-scenarios"
    assert loaded.owner_of(mark) == ""
    mark.write_text("Made by model-deployment-scenarios.\nowner: s3-local@aa\n")
    owner = loaded.owner_of(mark)
    assert owner == "s3-local@aa"
    loaded.refuse_other_owner(tmp_path, "", {"owner": asking, "adopt": adopts})
    if not said:
        loaded.refuse_other_owner(tmp_path, owner, {"owner": asking, "adopt": adopts})
        return
    with pytest.raises(ValueError, match=said):
        loaded.refuse_other_owner(tmp_path, owner, {"owner": asking, "adopt": adopts})


def test_a_look_lists_what_is_there_and_what_was_made_to_its_end(
    module: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    loaded = module("premises_look")
    assert loaded.contents(tmp_path / "not there") == {}
    for folder in ("runtime/aa", "runtime/bb", "runtime/vllm/cc", "foundation/dd/tiny", "keys"):
        (tmp_path / folder).mkdir(parents=True)
    for mark in ("runtime/aa/complete", "runtime/vllm/cc/complete", "foundation/dd/tiny/foundation.json"):
        (tmp_path / mark).touch()
    (tmp_path / "keys" / "a.pem").touch()
    (tmp_path / "runtime" / "current").symlink_to("aa")
    there = loaded.contents(tmp_path)
    assert there["keys/a.pem"] == there["runtime/current"] == []
    assert len(there["keys"]) == 3
    assert loaded.complete(tmp_path) == ["foundation/dd/tiny", "runtime/aa", "runtime/vllm/cc"]


def test_environments_and_credentials_that_a_service_names_stay(
    module: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    kept, used, served, old = (letter * 64 for letter in "abcd")
    for name in (kept, used, old, f"vllm/{served}", "not-one-of-ours"):
        (tmp_path / "runtime" / name).mkdir(parents=True)
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "inference.conf").write_text(f"command = {tmp_path}/runtime/{used}/bin/python")
    (tmp_path / "inference").mkdir()
    (tmp_path / "inference" / "serve.json").write_text(
        f'"{tmp_path}/runtime/vllm/{served}", "{tmp_path}/inference/tls-1f/server.pem"'
    )
    for name in ("tls-1f", "tls-2f", "tls"):
        (tmp_path / "inference" / name).mkdir()
    (tmp_path / "balancer").mkdir()
    (tmp_path / "balancer" / "server-3f.pem").touch()
    unused = module("unused_environments").unused
    assert unused(tmp_path, {f"{tmp_path}/runtime/{kept}"}) == [
        tmp_path / "balancer" / "server-3f.pem",
        tmp_path / "inference" / "tls-2f",
        tmp_path / "runtime" / old,
    ]


def test_a_channel_whose_history_does_not_hold_is_no_channel(module: Callable[[str], ModuleType]) -> None:
    summary = module("release_channel").summary
    assert summary({"channels": [], "releases": []}) == {"current": "", "entries": [], "releases": []}
    with pytest.raises(ValueError, match="entry 2 was changed"):
        summary({"channels": [{"problem": "entry 2 was changed"}], "releases": []})


def test_on_arrival_a_release_comes_before_its_channel_and_replaces_nothing(
    module: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    loaded = module("release_arrival")
    arriving, store = tmp_path / "arriving", tmp_path / "store"
    (arriving / "releases" / "a" / "sha256-1").mkdir(parents=True)
    (arriving / "channels" / "a" / "stable").mkdir(parents=True)
    for name in ("0001.json", "0002.json"):
        (arriving / "channels" / "a" / "stable" / name).write_text("theirs")
    (store / "channels" / "a" / "stable").mkdir(parents=True)
    (store / "channels" / "a" / "stable" / "0001.json").write_text("ours")
    assert loaded.take(arriving, store, "releases/a/sha256-1")
    assert not loaded.take(arriving, store, "releases/a/sha256-1")
    assert loaded.take_entries(arriving, store, "a/stable")
    entries = {path.name: path.read_text() for path in (store / "channels" / "a" / "stable").iterdir()}
    assert entries == {"0001.json": "ours", "0002.json": "theirs"}


@pytest.mark.parametrize(
    ("groups", "left"),
    [
        (["inference", "balancer", "premises"], []),
        (["training", "premises"], ["balancer", "inference"]),
        (["inference"], ["balancer"]),
    ],
)
def test_services_of_groups_that_a_host_has_left_are_found(groups: list[str], left: list[str]) -> None:
    there = [
        "services",
        "services/logs",
        "services/inference-0123456789ab.service",
        "services/balancer.conf",
        "services/balancer.pid",
        "store/releases",
    ]
    assert decisions.left_services(there, groups) == left


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "https://127.0.0.1:8443"),
        ("::", "https://127.0.0.1:8443"),
        ("10.0.0.5", "https://10.0.0.5:8443"),
        ("fd00::5", "https://[fd00::5]:8443"),
        ("gpu-1.example.com", "https://gpu-1.example.com:8443"),
    ],
)
def test_a_service_is_asked_where_it_listens(host: str, url: str) -> None:
    assert decisions.local_url(host, 8443) == url


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"host": "0.0.0.0", "port": 8445}, "https://127.0.0.1:8445"),
        ({"host": "fd00::5", "port": 8443}, "https://[fd00::5]:8443"),
        ({"host": "10.0.0.5"}, "https://10.0.0.5:8443"),
        ({"host": "10.0.0.5", "port": "many"}, "https://new"),
        ([1], "https://new"),
    ],
)
def test_a_server_is_asked_where_its_own_settings_say(settings: Any, url: str) -> None:
    record = base64.b64encode(json.dumps(settings).encode()).decode()
    assert decisions.server_url(record, "https://new") == url


def test_settings_that_somebody_broke_say_nothing() -> None:
    for content in ("", base64.b64encode(b"{").decode(), "no base64"):
        assert decisions.server_url(content, "https://new") == "https://new"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"msg": "no space left"}, "no space left"),
        ({}, "no reason given"),
        (
            {
                "msg": "Error executing command.",
                "exception": "Traceback\n  ...\nOSError: [Errno 13] denied\n",
            },
            "OSError: [Errno 13] denied",
        ),
        ({"msg": "non-zero return code", "stderr": "warning\nerror: no wheel\n"}, "error: no wheel"),
        (
            {
                "msg": "One or more items failed",
                "results": [{"failed": False}, {"failed": True, "msg": "no such host"}],
            },
            "no such host",
        ),
        ({"msg": "MODULE FAILURE: see stderr", "module_stderr": "sh: 1: Cannot fork"}, "sh: 1: Cannot fork"),
    ],
)
def test_the_reason_of_a_failure_is_the_systems_own(result: dict[str, Any], said: str) -> None:
    assert decisions.failure_reason(result) == said
