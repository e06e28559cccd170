"""Which references are read, and where credentials for a registry come from."""

from __future__ import annotations

import base64
import os
import re
from typing import TYPE_CHECKING

import pytest

from scenario_model.errors import InputError
from scenario_model.release.oci_credentials import Credentials, credentials_for
from scenario_model.release.oci_reference import Reference
from scenario_model.release.oci_registry import Registry
from tests.model.release.oci.world import GO, MODULES, VERSIONS, docker_config, helper

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    "text",
    [
        "oci://ghcr.io/team/model",
        "oci://ghcr.io/team/model:v1.0_x",
        f"oci://ghcr.io/team/model@{DIGEST}",
        "oci://127.0.0.1:5000/a",
        "oci://[::1]:5000/a/b__c/d-e.f:latest",
        "oci://123456789012.dkr.ecr.eu-central-1.amazonaws.com/models",
    ],
)
def test_a_reference_is_read_and_written_the_same(text: str) -> None:
    assert str(Reference.parse(text)) == text


def test_a_digest_beside_a_tag_is_what_counts() -> None:
    assert str(Reference.parse(f"oci://host/a:v1@{DIGEST}")) == f"oci://host/a@{DIGEST}"


@pytest.mark.parametrize(
    "text",
    [
        "ghcr.io/team/model",
        "https://ghcr.io/team/model",
        "oci://",
        "oci://host",
        "oci://host/",
        "oci://host/UPPER",
        "oci://host/a/../b",
        "oci://host/a//b",
        "oci://host/a:",
        "oci://host/a:two:tags",
        "oci://host/a@",
        "oci://host/a@sha256:12",
        f"oci://host/a@{DIGEST}@{DIGEST}",
        "oci://user:secret@host/a",
        "oci://host:port/a",
        "oci://host/a?x=1",
        "oci://host/a\nb",
        "oci://host/" + "a" * 300,
    ],
)
def test_what_is_no_reference_is_said_in_one_line(text: str) -> None:
    with pytest.raises(
        InputError, match="is not a reference to an artifact; write it as oci://HOST"
    ) as caught:
        Reference.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1", "127.8.9.1:80", "[::1]:5000"])
def test_plain_http_is_for_this_machine(host: str) -> None:
    Registry(Reference.parse(f"oci://{host}/a"), plain_http=True).close()


@pytest.mark.parametrize(
    "host", ["ghcr.io", "10.0.0.1:5000", "localhost.example.com", "127.0.0.1.example.com"]
)
def test_plain_http_is_for_no_other(host: str) -> None:
    with pytest.raises(InputError, match="plain HTTP is for a registry on this machine; use TLS"):
        Registry(Reference.parse(f"oci://{host}/a"), plain_http=True)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's folder, where programs are found, too."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_without_dockers_file_there_are_no_credentials(docker: Path) -> None:
    assert not (docker / "config.json").exists()
    assert credentials_for("host") is None


def test_credentials_are_those_of_the_host_alone(docker: Path) -> None:
    docker_config(
        docker, auths={"host:5000": {"auth": coded("me:a:b")}, "https://other": {"auth": coded("you:c")}}
    )
    assert credentials_for("host:5000") == Credentials("me", "a:b")
    assert credentials_for("other") == Credentials("you", "c")
    assert credentials_for("host") is None


def test_an_identity_token_is_told_apart_from_a_password(docker: Path) -> None:
    docker_config(docker, auths={"host": {"identitytoken": "abc"}})
    found = credentials_for("host")
    assert found
    assert (found.secret, found.is_identity) == ("abc", True)


def test_a_secret_is_not_shown(docker: Path) -> None:
    docker_config(docker, auths={"host": {"auth": coded("me:hidden")}})
    assert "hidden" not in repr(credentials_for("host"))


def test_a_helper_is_asked_on_its_standard_input(docker: Path) -> None:
    docker_config(docker, credHelpers={"host": "own"}, credsStore="all")
    helper(
        docker,
        "own",
        'read host; [ "$*" = get ] && echo "{\\"Username\\":\\"$host\\",\\"Secret\\":\\"s\\"}"\n',
    )
    helper(docker, "all", "echo credentials not found in native keychain; exit 1\n")
    assert credentials_for("host") == Credentials("host", "s")
    assert credentials_for("other") is None


def test_a_helper_may_give_an_identity_token(docker: Path) -> None:
    docker_config(docker, credsStore="all")
    helper(docker, "all", """echo '{"Username":"<token>","Secret":"t"}'\n""")
    assert credentials_for("host") == Credentials("<token>", "t", is_identity=True)


def test_a_helpers_name_is_a_programs_name_and_runs_no_shell(docker: Path) -> None:
    docker_config(docker, credsStore=f"x; touch {docker}/done")
    with pytest.raises(InputError, match="names a credential helper that is not a program's name"):
        credentials_for("host")
    docker_config(docker, credsStore="../evil")
    with pytest.raises(InputError, match="names a credential helper that is not a program's name"):
        credentials_for("host")
    assert not (docker / "done").exists()


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("exit 3", "gave no credentials for host (exit code 3)"),
        ("echo nonsense", "gave no answer: JSONDecodeError"),
        ("echo '{}'", "gave no credentials for host (exit code 0)"),
    ],
)
def test_a_helper_that_fails_is_named(docker: Path, script: str, fault: str) -> None:
    docker_config(docker, credsStore="all")
    helper(docker, "all", f"cat > /dev/null; {script}\n")
    with pytest.raises(InputError, match=rf"docker-credential-all: {re.escape(fault)}$"):
        credentials_for("host")


def test_a_helper_that_is_not_installed_is_named(docker: Path) -> None:
    docker_config(docker, credsStore="absent")
    with pytest.raises(InputError, match="docker-credential-absent is not on PATH; install it"):
        credentials_for("host")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"auths": 3}', '{"auths": {"host": 3}}', '{"auths": {"host": {}}}']
)
def test_a_file_that_says_nothing_of_use_is_no_credentials_or_one_line(docker: Path, content: str) -> None:
    (docker / "config.json").write_text(content)
    if content == "{":
        with pytest.raises(InputError, match="cannot be read: is not JSON"):
            credentials_for("host")
    else:
        assert credentials_for("host") is None


@pytest.mark.parametrize("entry", ["%%%", coded("no colon"), 7])
def test_an_entry_that_is_no_user_and_password_is_named_without_it(docker: Path, entry: object) -> None:
    docker_config(docker, auths={"host": {"auth": entry}})
    with pytest.raises(InputError, match="has an entry that is not USER:PASSWORD in base64; docker login"):
        credentials_for("host")


@pytest.mark.parametrize("program", VERSIONS)
def test_the_programs_are_of_the_versions_that_go_builds(program: str) -> None:
    assert f"{MODULES[program]} v{VERSIONS[program]}" in (GO / program / "go.mod").read_text()
