"""One run of a real, tiny playbook: its secrets, its files, and its end when whoever wanted it has gone."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from components.ansible.inventory import read_inventory
from components.ansible.runner import PlaybookRun, _texts, run_playbook
from components.errors import PremisesError

if TYPE_CHECKING:
    from components.ansible.events import Report

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parents[1] / "project"
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's runs make their private folders; other runs on the machine have theirs elsewhere."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    folder = tmp_path / "private"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def greeting(root: Path, **variables: str | int) -> PlaybookRun:
    return PlaybookRun(
        root=PROJECT,
        playbook="ansible/greet.yml",
        inventory="ansible/inventory.yml",
        variables={"scenario_root": str(root), "who": "world", **variables},
        secrets={"password": "planted-3e7c91aa50"},
    )


def process_texts() -> str:
    """All arguments and environments that another user, or `ps`, could read."""
    texts = []
    for entry in Path("/proc").iterdir():
        for name in ("cmdline", "environ"):
            try:
                texts.append((entry / name).read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(texts)


def test_a_secret_is_in_no_argument_or_environment_and_its_file_is_private_and_gone(
    tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "passphrase-of-the-stack")
    reports: list[Report] = []
    thread = threading.Thread(target=lambda: reports.append(run_playbook(greeting(tmp_path, pause=2))))
    thread.start()
    modes: set[str] = set()
    exposed = ""
    while thread.is_alive():
        exposed += process_texts()
        with contextlib.suppress(FileNotFoundError):
            modes |= {oct(path.stat().st_mode & 0o777) for path in private.iterdir()}
        time.sleep(0.2)
    thread.join()
    assert "planted-3e7c91aa50" not in exposed
    assert modes == {"0o700"}
    assert list(private.iterdir()) == []
    assert (tmp_path / "password").read_text(encoding="utf-8") == "planted-3e7c91aa50\n"
    seen = reports[0].results["greeting"]
    assert (seen["secrets_of_the_engine"], seen["hub_offline"]) == ("", "1")


def test_a_second_run_changes_nothing_and_check_mode_never_does(tmp_path: Path) -> None:
    root = tmp_path / "root"
    predicted = run_playbook(dataclasses.replace(greeting(root), check=True))
    assert not root.exists()
    first, second = run_playbook(greeting(root)), run_playbook(greeting(root))
    assert (first.changes, second.changes) == ({"here": 3}, {"here": 0})
    assert "greeting : Make the folder" in predicted.changed_tasks["here"][0]


def test_a_run_takes_the_inventory_that_a_preview_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a script in it, and a vaulted variable whose password is named below the project."""
    folder = tmp_path / "hosts"
    (folder / "group_vars").mkdir(parents=True)
    script = folder / "script"
    script.write_text('#!/bin/sh\necho \'{"premises": {"children": ["training"]}, "training": ["here"]}\'\n')
    script.chmod(0o755)
    variables = folder / "group_vars" / "all.yml"
    variables.write_text(
        "ansible_connection: local\nansible_python_interpreter: '{{ ansible_playbook_python }}'\ntold: by a vault\n"
    )
    (tmp_path / "password").write_text("planted-5ad0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", "password")
    subprocess.run([Path(sys.executable).with_name("ansible-vault"), "encrypt", variables], check=True)
    inventory = read_inventory(folder, groups=("training",), playbooks=PROJECT / "ansible")
    assert [(host.name, host.local) for host in inventory.hosts] == [("here", True)]
    run = dataclasses.replace(greeting(tmp_path / "root", who="{{ told }}"), inventory=str(folder))
    assert run_playbook(run).results["greeting"]["who"] == "by a vault"


def test_a_playbook_that_ansible_cannot_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("- hosts: all\n  rolls: [x]\n", encoding="utf-8")
    run = PlaybookRun(
        root=tmp_path, playbook="broken.yml", inventory=str(PROJECT / "ansible" / "inventory.yml")
    )
    with pytest.raises(PremisesError, match=r"broken\.yml: .*'rolls'"):
        run_playbook(run)


def test_when_the_one_who_wanted_it_is_killed_ansible_stops_and_leaves_no_secret(
    tmp_path: Path, private: Path
) -> None:
    run = dataclasses.asdict(greeting(tmp_path, pause=60))
    order = {name: value for name, value in run.items() if name != "root"}
    code = (
        "import json, sys; from pathlib import Path; from components.ansible.runner import *;"
        f"run_playbook(PlaybookRun(root=Path({str(PROJECT)!r}), **json.loads(sys.argv[1])))"
    )
    with subprocess.Popen([sys.executable, "-c", code, json.dumps(order)], cwd=REPOSITORY) as parent:
        await_(lambda: (tmp_path / "password").exists(), 120)
        # The worker, Ansible, and the task, which has a session of its own.
        children = psutil.Process(parent.pid).children
        await_(lambda: len(children(recursive=True)) >= 3, 60)
        started = [process.pid for process in children(recursive=True)]
        assert list(private.iterdir())
        parent.kill()
    await_(lambda: not list(private.iterdir()), 20)
    await_(lambda: not [pid for pid in started if psutil.pid_exists(pid)], 20)


def await_(condition: object, seconds: float) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


def test_secrets_by_name_are_hidden_one_by_one() -> None:
    assert list(_texts({"key": "a", "tokens": {"here": "b", "there": "c"}})) == ["a", "b", "c"]
