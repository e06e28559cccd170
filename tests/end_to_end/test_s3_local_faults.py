"""`s3-local` under rough treatment: killed, edited by hand, misconfigured, cut off from the network."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
import openai
import psutil
import pytest

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Clone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def ask(clone: Clone) -> str:
    """One chat over HTTPS; returns the release that answered."""
    with clone.client() as client:
        answer = client.chat.completions.with_raw_response.create(
            model="assistant", messages=[{"role": "user", "content": "The quick brown"}], max_tokens=4
        )
        assert answer.parse().usage
        return str(answer.headers["x-release"])


def server(clone: Clone) -> psutil.Process:
    """The process that serves this clone's model."""
    (found,) = [
        p for p in clone.processes() if "serve" in p.cmdline() and "serve.json" in " ".join(p.cmdline())
    ]
    return found


def until_it_answers(clone: Clone, seconds: float) -> str:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask(clone)
        except (httpx.HTTPError, openai.APIError) as error:
            if time.monotonic() > deadline:
                pytest.fail(f"no answer after {seconds} s: {error}")
            time.sleep(1)


def assert_nothing_to_do(clone: Clone) -> None:
    preview = json.loads(clone.run("pulumi", "preview", "--json", "--stack", "s3-local").stdout)
    assert set(preview["changeSummary"]) == {"same"}


def test_a_killed_server_is_back_and_ready_by_itself(small_deployment: Clone) -> None:
    before = server(small_deployment)
    before.kill()
    before.wait(10)

    until_it_answers(small_deployment, 90)
    assert server(small_deployment).pid != before.pid


def test_a_config_edited_by_hand_shows_in_refresh_and_the_next_up_mends_it(small_deployment: Clone) -> None:
    (config,) = small_deployment.path.glob(".state/**/serve.json")
    original = config.read_text()
    config.write_text(original.replace('"drain_seconds"', '"drain_seconds" '))
    assert config.read_text() != original

    shown = small_deployment.pulumi("refresh", "--yes", "--diff").stdout
    assert "drift" in shown
    assert config.read_text() != original

    small_deployment.pulumi("up", "--yes", "--skip-preview")
    assert config.read_text() == original
    assert_nothing_to_do(small_deployment)


def test_a_release_that_fails_its_gate_is_not_served_and_up_says_why(small_deployment: Clone) -> None:
    serving = ask(small_deployment)
    file = small_deployment.path / "stacks" / "Pulumi.s3-local.yaml"
    before = file.read_text()
    small_deployment.configure(recipe={"seed": 7}, gate={"minimum_gain": 50.0})
    try:
        up = small_deployment.pulumi("up", "--yes", "--skip-preview", check=False)
    finally:
        file.write_text(before)

    assert up.returncode != 0
    assert "minimum_gain" in up.stdout or "50" in up.stdout
    assert "Traceback" not in up.stdout
    assert ask(small_deployment) == serving


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"recipe": {"rnak": 8}}, "unknown key 'rnak'; did you mean 'rank'?"),
        ({"serving": {"port": "many"}}, "serving.port: input should be a valid integer"),
        ({"recipe": {"rank": 0}}, "recipe.rank: input should be greater than or equal to 1"),
        ({"data": {"path": "/not/there"}}, "/not/there"),
        ({"data": {"path": "EMPTY"}}, "EMPTY"),
        ({"serving": {"port": "HELD"}}, "is in use by"),
        ({"premises:inventory": "nowhere.yml"}, "nowhere.yml"),
    ],
    ids=["unknown key", "wrong type", "rank 0", "missing file", "empty data", "port in use", "no inventory"],
)
def test_a_bad_setting_is_one_clear_error_and_changes_nothing(
    small_deployment: Clone, setting: dict[str, Any], says: str
) -> None:
    serving = ask(small_deployment)
    file = small_deployment.path / "stacks" / "Pulumi.s3-local.yaml"
    before = file.read_text()
    empty = small_deployment.path / "empty"
    empty.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as held:
        text = json.dumps(setting).replace("EMPTY", str(empty)).replace('"HELD"', str(held.getsockname()[1]))
        small_deployment.configure(**json.loads(text))
        try:
            up = small_deployment.pulumi("up", "--yes", check=False)
        finally:
            file.write_text(before)

    errors = [line for line in up.stdout.partition("Diagnostics:")[2].splitlines() if " error: " in line]
    (error,) = [line for line in errors if line.strip() != "error: update failed"]
    assert says.replace("EMPTY", str(empty)) in error
    assert "Traceback" not in up.stdout
    assert ask(small_deployment) == serving


def test_a_killed_update_is_mended_by_make_up(small_deployment: Clone) -> None:
    chosen = random.Random(1)
    for seed in (21, 22):
        small_deployment.configure(recipe={"seed": seed})
        update = subprocess.Popen(
            ["pulumi", "up", "--yes", "--stack", "s3-local", "--non-interactive"],
            cwd=small_deployment.path,
            env=small_deployment.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(chosen.uniform(2, 25))
        os.kill(update.pid, signal.SIGKILL)
        update.wait()

    small_deployment.run("make", "up")
    assert_nothing_to_do(small_deployment)
    ask(small_deployment)


def test_training_serving_and_answering_need_no_network(small_deployment: Clone) -> None:
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("network namespaces are not allowed here; run as a user who may use `unshare -rn`")
    small_deployment.configure(recipe={"seed": 31})
    # The services must live inside the cut-off network too: stopped first, `make up` brings them back.
    for process in small_deployment.processes():
        process.kill()
    psutil.wait_procs(small_deployment.processes(), timeout=10)

    done = small_deployment.run("unshare", "-rn", "sh", "-c", "ip link set lo up && exec make up")

    assert "https://localhost" in done.stdout
    # Back to services that the rest of the tests can reach.
    for process in small_deployment.processes():
        process.kill()
    small_deployment.run("make", "up")
    ask(small_deployment)


def test_no_secret_is_readable_in_state_logs_arguments_or_output(small_deployment: Clone) -> None:
    key = small_deployment.outputs()["api_key"]
    private = next(small_deployment.path.glob(".state/**/tls/*.key")).read_text().splitlines()[1]
    forms = [form for secret in (key, private) for form in spellings(secret)]
    shown = (
        small_deployment.pulumi("up", "--yes", "--diff").stdout
        + small_deployment.pulumi("stack", "export").stdout
    )
    for process in small_deployment.processes():
        shown += " ".join(process.cmdline())

    assert [form for form in forms if form in shown] == []
    allowed = {"server.key"}  # the one place where the server reads it, 0600
    for file in small_deployment.path.glob(".state/**/*"):
        if (
            file.is_file()
            and not file.is_symlink()
            and file.name not in allowed
            and "runtime" not in file.parts
            and file.suffix != ".safetensors"
        ):
            content = file.read_bytes()
            assert not [form for form in forms if form.encode() in content], file


def spellings(secret: str) -> list[str]:
    """A secret as it is, and as encodings would show it."""
    raw = secret.encode()
    return [secret, base64.b64encode(raw).decode().rstrip("=")[:-1], raw.hex(), json.dumps(secret)[1:-1]]
