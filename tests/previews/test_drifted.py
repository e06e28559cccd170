"""What differs from what was deployed: found by the real engine, named without its values, in one issue."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootstrap.pulumi.__main__ import find_engine
from previews.drifted import MARK, Drifted, Found, issue_text, look, tell
from previews.events import Difference
from tests.previews.github import BOT, PERSON, GitHub

if TYPE_CHECKING:
    from previews.github import Repository

PROGRAM = """
from pathlib import Path
from pulumi.dynamic import CreateResult, ReadResult, Resource, ResourceProvider

class Files(ResourceProvider):
    def create(self, props):
        Path(props["path"]).write_text(props["text"])
        return CreateResult(props["path"], dict(props))
    def read(self, id_, props):
        if not Path(id_).is_file():
            return ReadResult("", {})
        text = Path(id_).read_text()
        if text == "broken":
            raise OSError("the provider's own secret")
        return ReadResult(id_, {**props, "text": text})

class File(Resource):
    def __init__(self, name, path, text):
        super().__init__(Files(), name, {"path": path, "text": text})

for name in ("kept", "edited", "removed"):
    File(name, f"FOLDER/{name}.txt", "as deployed")
"""


@pytest.fixture(scope="module")
def engine() -> Path:
    return find_engine(os.environ.get("ENGINE_SOURCE", ""))


@pytest.fixture
def project(engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployed stack of three files, and this process's environment for it."""
    (tmp_path / "Pulumi.yaml").write_text("name: files\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(PROGRAM.replace("FOLDER", str(tmp_path)))
    (tmp_path / "backend").mkdir()
    python = Path(__file__).parents[2] / ".venv" / "bin"
    for name, value in {
        "PATH": os.pathsep.join([str(engine), str(python), os.environ["PATH"]]),
        "PULUMI_BACKEND_URL": (tmp_path / "backend").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "of a test",
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for command in (["stack", "init", "plant"], ["up", "--yes", "--stack", "plant", "--skip-preview"]):
        subprocess.run(["pulumi", *command], cwd=tmp_path, capture_output=True, check=True)
    return tmp_path


@pytest.mark.slow
def test_what_was_edited_or_removed_is_found_and_named_without_its_content(
    project: Path, engine: Path
) -> None:
    assert look("plant", os.environ, project) == Found(stack="plant")
    (project / "edited.txt").write_text("a planted secret")
    (project / "removed.txt").unlink()
    state = (project / "backend").rglob("plant.json")
    before = {path: path.read_bytes() for path in state}
    found = look("plant", os.environ, project)
    assert {(each.name, each.gone) for each in found.resources} == {("edited", False), ("removed", True)}
    text = issue_text([found])
    assert "- `edited` (pulumi-python:dynamic:Resource): `text`\n" in text
    assert "- `removed` (pulumi-python:dynamic:Resource) is **gone**" in text
    assert "planted" not in text
    assert "kept" not in text
    assert {path: path.read_bytes() for path in before} == before, "nothing is changed"


@pytest.mark.slow
def test_what_a_provider_says_of_its_failure_does_not_leave_the_machine(project: Path) -> None:
    (project / "edited.txt").write_text("broken")
    found = look("plant", os.environ, project)
    assert found.error
    text = issue_text([found])
    assert "Could not be looked at: `pulumi refresh --preview-only --stack plant` says why" in text
    assert "secret" not in text
    shutil.rmtree(project / "backend")
    assert "says why, where it is deployed" in look("plant", os.environ, project).error, (
        "nor what the engine says"
    )


def found(*names: str) -> str:
    return issue_text(
        [Found(stack="plant", resources=tuple(Drifted(name=each, type="a:b:C", gone=True) for each in names))]
    )


def test_one_issue_is_opened_renewed_and_closed(repository: Repository, github: GitHub) -> None:
    github.issues = [{"number": 1, "user": PERSON, "state": "open", "body": f"{MARK} of a person"}]
    assert tell(repository, "") == "nothing differs"
    assert tell(repository, found("one")) == "opened #2"
    assert tell(repository, found("one")) == "#2 says what differs"
    assert tell(repository, found("one", "two")) == "#2 says what differs"
    assert "`two`" in github.issues[1]["body"]
    assert tell(repository, "") == "nothing differs any more: closed #2"
    assert github.issues[1]["state"] == "closed"
    assert [each["body"] for each in github.comments] == ["Nothing differs any more."]
    assert tell(repository, found("three")) == "opened #3", "a closed one is of the past"
    assert github.issues[0]["state"] == "open"
    assert github.issues[2]["user"] == BOT


def test_a_thousand_differences_are_one_readable_issue(repository: Repository, github: GitHub) -> None:
    wide = tuple(Difference(f"tags.{number}", "old", "new") for number in range(50))
    many = tuple(
        Drifted(name=f"resource-{number}", type="a:b:C", gone=False, properties=wide)
        for number in range(1000)
    )
    text = issue_text([Found(stack="plant", resources=many), Found(stack="other", error="it is elsewhere")])
    assert "and 900 more" in text
    assert "`tags.0`, `tags.1`" in text
    assert "and 38 more" in text
    assert "## other\n\nCould not be looked at: it is elsewhere." in text
    tell(repository, text)
    assert len(github.issues[0]["body"]) < 60_000


def test_it_names_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "previews.drifted"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "previews.drifted: name the stacks to look at, such as s3-local\n",
    )
