"""The workflows: sound to both linters, pinned, without rights they do not need, and calling what exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap import BootstrapError
from bootstrap.cache import exclusive
from bootstrap.go_build import Module, compile_module

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONLINT = "1.7.12"
MODULE = ROOT / "tests" / "go" / "actionlint"

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path: Path) -> dict[Any, Any]:
    """A YAML file's mapping; in a workflow the key `on` comes out as True."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    """The steps of all jobs."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.fixture(scope="module")
def actionlint(cache: Path) -> Path:
    """The linter, built once from the Go modules that go.sum pins."""
    program = cache / f"actionlint-{ACTIONLINT}" / "actionlint"
    with exclusive(cache / "actionlint.lock", "building actionlint"):
        if not program.exists():
            aside = program.with_name("unfinished")
            aside.mkdir(parents=True, exist_ok=True)
            title = f"actionlint {ACTIONLINT}"
            module = Module(folder=MODULE, title=title, programs=("actionlint",), expected="half a minute")
            try:
                compile_module(module, aside)
            except BootstrapError as error:
                pytest.skip(f"needs Go, or a Go module proxy in GOPROXY: {error}")
            (aside / "actionlint").rename(program)
    return program


@pytest.mark.slow
def test_actionlint_finds_nothing(actionlint: Path) -> None:
    # Without programs that a machine may or may not have: the same result everywhere.
    command = [str(actionlint), "-shellcheck=", "-pyflakes=", *map(str, WORKFLOWS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_actionlint_finds_a_mistake(actionlint: Path, tmp_path: Path) -> None:
    text = (GITHUB / "workflows" / "check.yml").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(text.replace("matrix.python }}", "matrix.pyhton }}"), encoding="utf-8")
    done = subprocess.run(
        [actionlint, "-shellcheck=", "-pyflakes=", wrong], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pyhton" in done.stdout


def zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run zizmor at its strictest for what is not a library of actions, without a network."""
    program = Path(sys.executable).parent / "zizmor"
    command = [str(program), "--offline", "--no-progress", "--persona=pedantic", str(folder)]
    untold = {name: value for name, value in os.environ.items() if name not in {"GH_TOKEN", "GITHUB_TOKEN"}}
    return subprocess.run(command, env=untold, capture_output=True, text=True, check=False)


def test_zizmor_finds_nothing() -> None:
    done = zizmor(GITHUB)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_a_template_that_runs_as_code(tmp_path: Path) -> None:
    text = (GITHUB / "workflows" / "check.yml").read_text(encoding="utf-8")
    below = tmp_path / ".github" / "workflows"
    below.mkdir(parents=True)
    wrong = text.replace(".ci/run check", "echo ${{ github.event.pull_request.title }}")
    (below / "wrong.yml").write_text(wrong, encoding="utf-8")
    done = zizmor(tmp_path / ".github")
    assert done.returncode != 0
    assert "template-injection" in done.stdout


@each_workflow
def test_every_action_is_pinned_by_its_digest_and_names_its_version(path: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert used
    wrong = [
        each for each in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)
    ]
    assert wrong == []


def test_an_action_has_one_digest_in_all_workflows() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    used = set(re.findall(r"uses: (\S+)@(\S+ # \S+)", text))
    assert len(used) == len({action for action, _ in used})


@each_workflow
def test_a_workflow_has_no_rights_but_what_a_job_names(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert all(isinstance(job.get("permissions"), dict) for job in workflow["jobs"].values())


@each_workflow
def test_a_workflow_ends_in_time_and_does_not_run_twice_at_once(path: Path) -> None:
    workflow = read(path)
    assert "group" in workflow["concurrency"]
    assert all(0 < job["timeout-minutes"] <= 350 for job in workflow["jobs"].values())


@each_workflow
def test_no_checkout_leaves_a_credential_behind(path: Path) -> None:
    checkouts = [step for step in steps(read(path)) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@each_workflow
def test_no_step_may_fail_unseen(path: Path) -> None:
    workflow = read(path)
    assert "continue-on-error" not in path.read_text(encoding="utf-8")
    conditions = {step["if"] for step in steps(workflow) if "if" in step}
    assert conditions <= {"vars.IMAGE_REGISTRY != ''"}  # where there is no registry, nothing can be pushed
    assert not any("if" in job for job in workflow["jobs"].values())


def test_every_make_target_that_a_workflow_calls_exists() -> None:
    lines = [
        line for path in WORKFLOWS for step in steps(read(path)) for line in step.get("run", "").splitlines()
    ]
    by_hand = {target for line in lines for target in re.findall(r"\bmake ([a-z-]+)", line)}
    by_ci = {found[1] or "test" for line in lines if (found := re.search(r"\.ci/run(?: ([a-z-]+))?", line))}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {"check", "test", "soak"} <= by_ci
    assert (by_hand | by_ci) - targets == set()


def test_checks_run_on_every_python_that_the_project_claims() -> None:
    tried = read(GITHUB / "workflows" / "check.yml")["jobs"]["check"]["strategy"]["matrix"]["python"]
    project = tomllib.loads((ROOT / "model" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    claimed = [each.rpartition(" ")[2] for each in project["classifiers"] if ":: Python :: 3" in each]
    assert tried == claimed
    assert project["requires-python"] == f">={tried[0]}"
    assert f"Python {tried[0]} to {tried[-1]}" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert tools["mypy"]["python_version"] == tried[0]
    assert tools["ruff"]["target-version"] == f"py{tried[0].replace('.', '')}"


def test_everything_else_runs_on_the_oldest_python() -> None:
    versions = {
        step["with"]["python-version"]
        for path in WORKFLOWS
        for step in steps(read(path))
        if step.get("uses", "").startswith("actions/setup-python@")
    }
    assert versions == {"3.11", "${{ matrix.python }}"}


def test_dependabot_follows_every_program_that_is_built_from_go_modules() -> None:
    (modules,) = (
        each for each in read(GITHUB / "dependabot.yml")["updates"] if each["package-ecosystem"] == "gomod"
    )
    names = [each["dependency-name"].removesuffix("/*") for each in modules["allow"]]
    files = {path for pattern in modules["directories"] for path in ROOT.glob(f"{pattern[1:]}/go.mod")}
    everywhere = {path for path in ROOT.glob("*/**/go/*/go.mod") if ".state" not in path.parts}
    assert everywhere - files == {ROOT / "bootstrap" / "pulumi" / "go" / "kubernetes" / "go.mod"}
    for path in sorted(files):
        built = re.search(r"^tool (?:\(\n\t)?(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert built is not None
        ours = built[1].startswith(("lab/", "tests/"))
        assert ours or any(built[1].startswith(name) for name in names), path


def test_actionlint_is_of_the_version_that_go_builds() -> None:
    assert f"github.com/rhysd/actionlint v{ACTIONLINT} " in (MODULE / "go.mod").read_text(encoding="utf-8")


def test_forms_for_issues_ask_for_something() -> None:
    forms = [path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    assert {path.stem for path in forms} == {"bug", "feature", "question"}
    for path in forms:
        form = read(path)
        assert {"name", "description", "body"} <= form.keys()
        assert any(part.get("validations", {}).get("required") for part in form["body"])
