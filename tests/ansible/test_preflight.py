"""A mistake ends the play before anything is touched, with one message that says what and where."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.ansible.conftest import Premises

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"foundation": {"kind": "gguf"}}, "foundation.path is missing"),
        (
            {"training_data": {"kind": "chat", "path": "/not/there.jsonl"}},
            "training_data.path /not/there.jsonl does not exist",
        ),
        ({"serving": {"port": "many"}}, "argument 'port' is of type str found in 'serving'"),
        ({"scenario_root": "relative/folder"}, "it must be an absolute path"),
        ({"tls_certificate": "PEM"}, "belong together"),
    ],
    ids=[
        "no path",
        "no file",
        "no number",
        "relative root",
        "half credentials",
    ],
)
def test_a_wrong_setting_is_refused_by_name(premises: Premises, wrong: dict[str, Any], says: str) -> None:
    ran = premises.run("preflight.yml", succeeds=False, **wrong)
    assert ran.code == 2
    assert says in " ".join(ran.output.split())
    assert not premises.root.exists()


def test_wrong_settings_of_several_hosts_are_refused_at_once_each_by_name(premises: Premises) -> None:
    wrong = {"a": {"kind": "directory", "pth": "/x"}, "b": {"kind": "download"}}
    del premises.variables["foundation"]
    inventory = yaml.safe_load(premises.inventory.read_text())
    (here,) = inventory["premises"]["children"]["training"]["hosts"].values()
    hosts = {name: {**(here or {}), "foundation": setting} for name, setting in wrong.items()}
    inventory["premises"]["children"]["training"]["hosts"] = hosts
    premises.inventory = premises.folder / "inventory.yml"
    premises.inventory.write_text(yaml.safe_dump(inventory))
    ran = premises.run("preflight.yml", succeeds=False)
    assert ran.code == 2
    parts = re.split(r"fatal: \[([ab])\]", " ".join(ran.output.split()))
    said = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert "pth" in said["a"]
    assert "must be one of: packaged, directory, gguf, got: download" in said["b"]
    assert not premises.root.exists()


def test_a_port_that_somebody_else_holds_is_named_with_its_holder(premises: Premises) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", premises.port))
        other.listen()
        ran = premises.run("site.yml", succeeds=False)
    assert f"port {premises.port} on 127.0.0.1 is in use by" in ran.output
    assert "serving.port" in ran.output
    assert not premises.root.exists()


def test_a_host_that_is_not_there_fails_the_play_by_name(premises: Premises) -> None:
    inventory = yaml.safe_load(premises.inventory.read_text())
    inventory["premises"]["children"]["inference"]["hosts"] = {
        "far-away": {"ansible_connection": "ssh", "ansible_host": "192.0.2.1", "ansible_ssh_timeout": 2}
    }
    premises.inventory = premises.folder / "inventory.yml"
    premises.inventory.write_text(yaml.safe_dump(inventory))
    ran = premises.run("site.yml", succeeds=False)
    assert ran.code != 0
    assert ran.recap["far-away"]["unreachable"] == 1
    assert "fatal: [far-away]: UNREACHABLE!" in ran.output
    assert not premises.root.exists()


def test_an_inventory_without_a_host_that_trains_is_refused(premises: Premises) -> None:
    premises.inventory = premises.folder / "inventory.yml"
    premises.inventory.write_text(
        yaml.safe_dump({"premises": {"children": {"inference": {"hosts": {"a": {}}}}}})
    )
    ran = premises.run("preflight.yml", succeeds=False)
    assert "0 hosts in group training" in " ".join(ran.output.split())


def test_a_folder_with_somebody_elses_files_is_neither_used_nor_removed(premises: Premises) -> None:
    premises.root.mkdir()
    (premises.root / "thesis.tex").write_text("years of work")
    for playbook in ("runtime.yml", "reset.yml"):
        ran = premises.run(playbook, succeeds=False)
        assert ran.code == 2
        assert "was not created by this program" in " ".join(ran.output.split())
    assert (premises.root / "thesis.tex").read_text() == "years of work"
    (premises.root / "thesis.tex").unlink()
    premises.root.rmdir()


def test_a_reset_where_nothing_is_changes_nothing(premises: Premises) -> None:
    assert premises.run("reset.yml").changes() == 0


def test_a_check_of_a_host_where_nothing_is_foresees_all_and_makes_nothing(premises: Premises) -> None:
    ran = premises.run("site.yml", "--check", "--diff")
    assert {"Report that the runtime would be built", "Report what would be done", "Run inference"} <= set(
        ran.changed
    )
    assert not premises.root.exists()


def test_without_a_folder_of_its_own_it_goes_into_the_users_home(premises: Premises) -> None:
    del premises.variables["scenario_root"]
    assert premises.run("preflight.yml").changes() == 0
