"""The same service under systemd's user manager, where there is one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible.module_utils.own_processes import own_processes
from ansible.module_utils.user_services import Systemd

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLE = Path(__file__).parents[2] / "ansible" / "roles" / "service"
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars_files: [{role}/defaults/main.yml, {role}/vars/main.yml]
  tasks:
    - name: Write the unit
      ansible.builtin.template:
        src: {role}/templates/systemd.j2
        dest: "{{{{ service_definition }}}}"
        mode: "0600"
        validate: "{{{{ service_validate.systemd }}}}"
"""


def write_unit(folder: Path, command: list[str]) -> Path:
    """Let Ansible write and judge a unit with the role's own template."""
    definition = folder / f"scenario-test-{os.getpid()}.service"
    variables = {
        "premises_root": str(folder),
        "premises_manager": "systemd",
        "service_name": "test",
        "service_command": command,
        "service_definition": str(definition),
        "service_environment": {"NOTE": 'a "quoted" 100% $word'},
        "service_fingerprint": "first",
        "service_again": "always",
        "service_stop_seconds": 5,
        "ansible_python_interpreter": sys.executable,
    }
    (folder / "play.yml").write_text(PLAY.format(role=ROLE))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", folder / "play.yml", "-e", json.dumps(variables)],
        env={"XDG_RUNTIME_DIR": str(folder), **os.environ, "ANSIBLE_HOME": str(folder / "ansible-home")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return definition


def has_user_manager() -> bool:
    if not shutil.which("systemctl"):
        return False
    command = ["systemctl", "--user", "show-environment"]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze: install systemd")
def test_a_unit_of_awkward_paths_satisfies_systemd(tmp_path: Path) -> None:
    folder = tmp_path / 'a "b" 100% $c'
    folder.mkdir()
    unit = write_unit(folder, ["/bin/sleep", "600", str(folder / "x.json")]).read_text()
    assert 'a \\"b\\" 100%% $$c/x.json"' in unit
    assert "LimitNOFILE=" in unit


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Systemd]:
    service = Systemd(write_unit(tmp_path, ["/bin/sleep", "600"]), "--user")
    service.start()
    yield service
    service.stop(5)


@pytest.mark.slow
@pytest.mark.skipif(
    not has_user_manager(), reason="needs systemd as the user's manager: run in a login session"
)
def test_a_unit_runs_comes_back_and_ends(unit: Systemd) -> None:
    def workers() -> list[int]:
        mine = (p for p in own_processes() if p.environment.get("SCENARIO_SERVICE") == str(unit.definition))
        return [p.pid for p in mine]

    assert unit.running()
    assert unit.fingerprint() == "first"
    (before,) = workers()
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while workers() in ([], [before]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert unit.stop(5)
    assert not unit.running()
    assert not workers()
