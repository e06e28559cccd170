"""`s3-local` under rough treatment: killed, misconfigured, cut off from the network."""

from __future__ import annotations

import base64
import json
import random
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.end_to_end.conftest import make_clone
from tests.killed_engine import killed_after
from tests.processes import kill_all, words_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Clone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

EVENTS = 5
"""Lines of an update with another seed that tell of a resource, but for the last; more where it trains slowly."""


def ask(clone: Clone) -> str:
    """One chat over HTTPS; returns the release that answered."""
    with clone.client() as client:
        answer = client.chat.completions.with_raw_response.create(
            model="assistant", messages=[{"role": "user", "content": "The quick brown"}], max_tokens=4
        )
        assert answer.parse().usage
        return str(answer.headers["x-release"])


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"recipe": {"rnak": 8}}, "unknown key 'recipe.rnak'; did you mean 'rank'?"),
        ({"serving": {"port": "HELD"}}, "is in use by"),
        *(
            pytest.param(*each, marks=pytest.mark.soak)  # the same way, with words that quick tests hold
            for each in (
                ({"serving": {"port": "many"}}, "key 'serving.port' is \"many\"; it must be a whole number"),
                ({"recipe": {"rank": 0}}, "key 'recipe.rank' is 0; it must be at least 1"),
                ({"data": {"path": "/not/there"}}, "/not/there"),
                ({"data": {"path": "EMPTY"}}, "EMPTY"),
                ({"premises:inventory": "nowhere.yml"}, "nowhere.yml"),
            )
        ),
    ],
    ids=["unknown key", "port in use", "wrong type", "rank 0", "missing file", "empty data", "no inventory"],
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


def test_a_first_update_that_fails_halfway_is_taken_away_by_make_down(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", room], check=True)
    try:
        clone = make_clone(tmp_path)
        clone.configure(**{"premises:root": str(room / "root")})
        up = clone.run("make", "up", check=False)
        assert "64 MB free" in " ".join(up.stdout.split())
        assert (room / "root" / "keys").is_dir(), "it had begun"
        clone.run("make", "down")
        assert list(room.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", room], check=True)


# `make test` kills an update in tests/components/test_stack.py.
@pytest.mark.soak
@pytest.mark.parametrize("kills", [10])
def test_a_killed_update_is_mended_by_make_up(small_deployment: Clone, kills: int) -> None:
    moments = random.Random(kills)
    for seed in range(20, 20 + kills):
        small_deployment.configure(recipe={"seed": seed})
        with subprocess.Popen(
            ["pulumi", "up", "--yes", "--skip-preview", "--stack", "s3-local", "--non-interactive"],
            cwd=small_deployment.path,
            env=small_deployment.environment(),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as update:
            print("killed after", killed_after(moments.randint(1, EVENTS), update))

        small_deployment.run("make", "up")
        small_deployment.pulumi("preview", "--expect-no-changes")
        ask(small_deployment)


# `make test` sees that nothing leaves hosts on which a model is trained and served: test_premises_hosts.py.
@pytest.mark.soak
def test_training_serving_and_answering_need_no_network(small_deployment: Clone) -> None:
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("network namespaces are not allowed here; run as a user who may use `unshare -rn`")
    small_deployment.configure(recipe={"seed": 31})
    # The services must live inside the cut-off network too: stopped first, `make up` brings them back.
    kill_all(small_deployment.processes())
    psutil.wait_procs(small_deployment.processes(), timeout=10)

    done = small_deployment.run("unshare", "-rn", "sh", "-c", "ip link set lo up && exec make up")

    assert "https://localhost" in done.stdout
    # Back to services that the rest of the tests can reach.
    kill_all(small_deployment.processes())
    small_deployment.run("make", "up")
    ask(small_deployment)


def test_no_secret_is_readable_in_state_logs_arguments_or_output(small_deployment: Clone) -> None:
    key = small_deployment.outputs()["api_key"]
    private = next(small_deployment.path.glob(".state/**/tls-*/*.key")).read_text().splitlines()[1]
    forms = [form for secret in (key, private) for form in spellings(secret)]
    shown = (
        small_deployment.pulumi("up", "--yes", "--diff").stdout
        + small_deployment.pulumi("stack", "export").stdout
    )
    for process in small_deployment.processes():
        shown += " ".join(words_of(process))

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
