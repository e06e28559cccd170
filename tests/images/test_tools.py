"""Docker, Podman or Buildah: which one is taken, and what it is told. Each is a script that notes what it was told."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from images import ImagesError
from images.tools import found

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "registry.example/model:1"
NOTES = """#!{python}
import json, os, sys
if sys.argv[1] == "info":
    sys.exit({works})
told = sys.stdin.read() if "--password-stdin" in sys.argv else ""
noted = {{name: os.environ[name] for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE")}}
with open({log!r}, "a") as log:
    log.write(json.dumps([sys.argv[1:], told, noted]) + "\\n")
sys.exit(3 if "fails" in sys.argv else 0)
"""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[Any]]]:
    """Put programs into the PATH, by whether they work; what the one that is used was told."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))

    def put(**programs: bool) -> list[list[Any]]:
        folder = tmp_path / "bin"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for log in tmp_path.glob("*.log"):
            log.unlink()
        for name, works in programs.items():
            file = folder / name
            text = NOTES.format(
                python=shutil.which("python3"), works=0 if works else 1, log=str(tmp_path / f"{name}.log")
            )
            file.write_text(text)
            file.chmod(0o755)
        with found(str(folder)) as tool:
            tool.login("registry.example", "AWS", "token")
            tool.build(Path("context"), Path("Containerfile"), MODEL, {"BASE": "mirror/python"})
            tool.copy("their.example/kueue:1", "registry.example/kueue:1", "arm64")
        (log,) = tmp_path.glob("*.log")
        return [json.loads(line) for line in log.read_text().splitlines()]

    return put


def test_the_first_that_works_builds_copies_and_pushes_for_the_nodes_platform(
    there: Callable[..., list[list[Any]]],
) -> None:
    for programs in ({"docker": True, "podman": True}, {"docker": False, "podman": True}, {"buildah": True}):
        noted = [" ".join(arguments) for arguments, _, _ in there(**programs)]
        assert noted == [
            "login --username AWS --password-stdin registry.example",
            f"build --platform linux/amd64 --file Containerfile --tag {MODEL} --build-arg BASE=mirror/python context",
            "pull --platform linux/arm64 their.example/kueue:1",
            "tag their.example/kueue:1 registry.example/kueue:1",
            "push registry.example/kueue:1",
        ]


def test_a_token_is_no_argument_and_stays_in_no_file_of_the_users(
    there: Callable[..., list[list[Any]]], tmp_path: Path
) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text('{"credsStore": "secretservice"}')
    os.mkfifo(tmp_path / "docker" / "socket")  # Docker Desktop has sockets there, and the disk of its machine
    noted = there(docker=True)
    assert [told for _, told, _ in noted] == ["token", "", "", "", ""]
    assert "token" not in str([arguments for arguments, _, _ in noted])
    for _, _, environment in noted:
        assert environment["DOCKER_CONFIG"] != str(tmp_path / "docker")
        assert not Path(environment["DOCKER_CONFIG"]).exists(), "removed in the end"
        assert not Path(environment["REGISTRY_AUTH_FILE"]).exists()


@pytest.mark.parametrize(
    ("programs", "said"), [({}, "there is none"), ({"docker": False}, "docker cannot be used")]
)
def test_a_machine_without_one_is_told_what_to_install(
    programs: dict[str, bool], said: str, there: Callable[..., list[list[Any]]]
) -> None:
    with pytest.raises(
        ImagesError, match=rf"needs docker \(with its daemon\), podman or buildah, and {said}"
    ):
        there(**programs)


def test_what_it_needs_of_the_users_docker_is_there_and_who_keeps_accounts_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, accounts = tmp_path / "docker", tmp_path / "auth.json"
    (home / "cli-plugins").mkdir(parents=True)
    (home / "config.json").write_text(
        '{"credsStore": "desktop", "auths": {"mine.example": {"auth": "eA=="}}}'
    )
    accounts.write_text('{"auths": {"mine.example": {"auth": "eA=="}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(home))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(accounts))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "podman").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "podman").chmod(0o755)
    with found(str(tmp_path / "bin")) as tool:
        taken = Path(tool.environment["DOCKER_CONFIG"])
        assert json.loads((taken / "config.json").read_text()) == {
            "auths": {"mine.example": {"auth": "eA=="}}
        }
        assert (taken / "cli-plugins").is_dir()
        kept = Path(tool.environment["REGISTRY_AUTH_FILE"])
        assert (kept.read_text(), kept.stat().st_mode & 0o777) == (accounts.read_text(), 0o600)


def test_one_that_fails_ends_it(there: Callable[..., list[list[Any]]], tmp_path: Path) -> None:
    assert there(podman=True)
    with found(str(tmp_path / "bin")) as tool, pytest.raises(ImagesError, match="`podman push` failed"):
        tool.push("fails")
