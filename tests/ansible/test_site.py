"""site.yml from nothing to an answer, again, after accidents, and back to nothing."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from benchmarks.converged import calls_in
from tests.processes import kill_all, words_of

if TYPE_CHECKING:
    from tests.ansible.conftest import Premises

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PLAYBOOKS = Path(__file__).parents[2] / "ansible"


def ask(premises: Premises, path: str, root: Path | None = None) -> tuple[int, str]:
    """Ask the server as a client does; returns (status, release)."""
    tls = (root or premises.root) / "inference" / "tls"
    trusted = ssl.create_default_context(cafile=tls / "ca.pem")
    key = (tls / "api_key").read_text().strip()
    request = urllib.request.Request(
        f"https://localhost:{premises.port}{path}", headers={"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request, context=trusted, timeout=30) as response:
        return response.status, response.headers["x-release"]


def wait_ready(premises: Premises, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            assert ask(premises, "/readyz")[0] == 200
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        else:
            return


def outcome(premises: Premises) -> dict[str, Any]:
    content = json.loads((premises.root / "training" / "outcome.json").read_text())
    assert isinstance(content, dict)
    return content


def test_the_release_that_was_trained_is_served(converged: Premises) -> None:
    assert ask(converged, "/v1/models") == (200, outcome(converged)["release"])


def test_converging_again_changes_nothing_in_few_tasks_and_calls_of_the_host(converged: Premises) -> None:
    before = converged.server().pid
    ran = converged.run("site.yml", "-vvv")
    assert ran.changes() == 0
    assert ran.tasks <= 60
    assert 10 <= calls_in(ran.output) <= 20
    assert converged.server().pid == before


def test_a_check_of_a_converged_host_foresees_nothing(converged: Premises) -> None:
    ran = converged.run("site.yml", "--check", "--diff")
    assert ran.changes() == 0, ran.changed


def test_settings_that_only_a_newer_package_accepts_are_not_judged_by_the_installed_one(
    converged: Premises, tmp_path: Path
) -> None:
    serving = {**converged.variables["serving"], "limits": {"body_bytes": 512}}
    wanted: dict[str, Any] = {
        "serving": serving,
        "recipe": {**converged.variables["recipe"], "sequence_length": 4},
    }
    ran = converged.run("preflight.yml", succeeds=False, **wanted)
    assert "limits.body_bytes" in ran.output
    newer = tmp_path / "model"
    shutil.copytree(converged.variables["model_runtime_source"], newer)
    for name, key in (("serve", "body_bytes"), ("train", "sequence_length")):
        file = newer / "scenario_model" / name / "settings.py"
        told = file.read_text()
        file.write_text(re.sub(rf"(    {key}: Annotated\[int, Field\(ge=)\d+", r"\g<1>1", told))
        assert file.read_text() != told
    converged.run("preflight.yml", model_runtime_source=str(newer), **wanted)
    ran = converged.run("site.yml", "--check", model_runtime_source=str(newer), **wanted)
    assert any("Report that the runtime would be built" in task for task in ran.changed)


def test_a_killed_server_is_back_and_ready_by_itself(converged: Premises) -> None:
    killed = converged.server()
    killed.kill()
    killed.wait(10)
    wait_ready(converged)
    assert converged.server().pid != killed.pid


def test_a_killed_supervisor_and_hand_edits_are_seen_by_a_check_and_mended_by_a_run(
    converged: Premises,
) -> None:
    edited = [converged.root / "inference" / "serve.json", converged.root / "services" / "inference.conf"]
    before = [path.read_text() for path in edited]
    for path, text in zip(edited, before, strict=True):
        path.write_text(text + "\n")
    kill_all(p for p in converged.processes() if "supervisor.supervisord" in words_of(p))
    # The mended service is restarted with it: nobody knows when the edit was read.
    mended = ["Run inference", "Write serve.json", "Write the definition of inference"]
    assert sorted(converged.run("serve.yml", "--check", "--diff").changed) == mended
    assert [path.read_text() for path in edited] != before
    assert sorted(converged.run("serve.yml").changed) == mended
    assert [path.read_text() for path in edited] == before
    assert ask(converged, "/readyz")[0] == 200
    assert converged.server()


def test_a_release_that_fails_its_gate_is_kept_and_the_old_one_goes_on(converged: Premises) -> None:
    _, serving = ask(converged, "/readyz")
    recipe = {**converged.variables["recipe"], "seed": 1}
    ran = converged.run("site.yml", succeeds=False, recipe=recipe, gate={"minimum_gain": 1000.0})
    said = " ".join(ran.output.split())
    assert ran.code == 2
    assert re.search(r"gate failed: .*bits per byte.* is kept for inspection in ", said), said[-3000:]
    assert f"channel stable still names {serving}" in said
    assert ask(converged, "/readyz") == (200, serving)
    assert converged.run("site.yml").code == 0
    assert ask(converged, "/readyz") == (200, serving)


def test_rotated_secrets_are_new_and_the_old_key_is_nobodys(converged: Premises) -> None:
    tls = converged.root / "inference" / "tls"
    old = {name: (tls / name).read_text() for name in ("ca.pem", "api_key")}
    ran = converged.run("rotate_secrets.yml")
    assert "Run inference" in ran.changed
    assert (tls / "server.key").stat().st_mode & 0o777 == 0o600
    assert all((tls / name).read_text() != content for name, content in old.items())
    assert ask(converged, "/v1/models")[0] == 200
    trusted = ssl.create_default_context(cafile=tls / "ca.pem")
    headers = {"Authorization": f"Bearer {old['api_key'].strip()}"}
    request = urllib.request.Request(f"https://localhost:{converged.port}/v1/models", headers=headers)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request, context=trusted, timeout=30)


def test_training_survives_the_play_that_started_it_and_the_next_one_looks_on(
    ready_to_train: Premises,
) -> None:
    premises = ready_to_train
    recipe = {**premises.variables["recipe"], "max_steps": 150, "epochs": 100}
    play = subprocess.Popen(
        premises.command("train.yml", recipe=recipe),
        cwd=PLAYBOOKS,
        env=premises.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while not list(premises.root.glob("runs/*/progress.jsonl")):
        assert play.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    # Ansible's workers have sessions of their own: each is killed by itself.
    player = psutil.Process(play.pid)
    kill_all((*player.children(recursive=True), player))
    play.wait(10)
    trainers = [p for p in premises.processes() if {"scenario_model", "train"} <= set(words_of(p))]
    assert trainers
    trainers[0].kill()  # as the kernel does when memory is short: its manager starts it again
    ran = premises.run("train.yml", recipe=recipe)
    assert re.search(r"\[localhost\] step \d+/150, loss", ran.output)
    assert len(list(premises.root.glob("runs/*"))) == 1


# `make test` serves on hosts that do nothing else in tests/end_to_end/test_premises_hosts.py.
@pytest.mark.soak
def test_a_host_that_only_serves_gets_the_release_verified_and_a_reset_leaves_nothing(
    two_hosts: Premises,
) -> None:
    trainer, server = two_hosts.folder / "trainer", two_hosts.folder / "server"
    two_hosts.run("site.yml")
    assert ask(two_hosts, "/readyz", server)[0] == 200
    assert not (server / "keys" / "release-signing.pem").exists()
    assert not (trainer / "inference").exists()
    two_hosts.run("reset.yml", "--limit", "server")  # as before it is taken out of the inventory
    assert not server.exists()
    assert (trainer / "store").exists()
    two_hosts.run("reset.yml")
    assert not trainer.exists()
    assert not two_hosts.processes()
