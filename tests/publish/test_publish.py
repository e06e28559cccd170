"""A tag publishes what it says; the collection is one that ansible-galaxy builds, installs and runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from publish import ROOT, PublishError, check_tag, notes, version
from publish.__main__ import build_collection, build_package, checksums
from publish.collection import filter_names, stage

if TYPE_CHECKING:
    from collections.abc import Callable

BIN = Path(sys.executable).parent
CHANGELOG = """\
# Changelog

## [Unreleased]

## [0.2.0] - 2027-01-02

### Added

- Wings.

## [0.1.0]

First.
"""


def test_a_tag_that_is_not_the_version_is_refused() -> None:
    check_tag(f"v{version()}")
    with pytest.raises(
        PublishError, match=f"invalid tag v9.9.9: model/pyproject.toml has version {version()}"
    ):
        check_tag("v9.9.9")


def test_the_notes_are_the_section_of_the_version() -> None:
    assert notes(CHANGELOG, "0.2.0") == "### Added\n\n- Wings.\n"
    assert notes(CHANGELOG, "0.1.0") == "First.\n"


@pytest.mark.parametrize("of", ["Unreleased", "0.3.0"])
def test_a_version_without_a_section_is_refused(of: str) -> None:
    with pytest.raises(PublishError, match=re.escape(f"CHANGELOG.md: no section [{of}]")):
        notes(CHANGELOG, of)


def test_the_command_refuses_a_folder_that_exists(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "publish", "--to", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"publish: {tmp_path} exists; remove it, or name another folder\n"


def test_the_collection_calls_its_own_code_by_its_full_name(tmp_path: Path) -> None:
    stage(tmp_path / "tree", "1.2.3")
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in (tmp_path / "tree").rglob("plugins/**/*.py")
    )
    own = "|".join(path.stem for path in (ROOT / "ansible" / "module_utils").glob("*.py"))
    assert re.findall(rf"ansible\.module_utils(?:\.| import )(?:{own})", code) == []
    assert "from ansible_collections.scenario.model.plugins.module_utils" in code
    texts = [path for path in (tmp_path / "tree").rglob("*") if path.suffix in {".yml", ".j2"}]
    text = "\n".join(path.read_text(encoding="utf-8") for path in texts)
    for name in filter_names():
        assert not re.search(rf"\|\s*{name}\b", text)
    assert re.search(r"\|\s*scenario\.model\.\w", text)


def test_the_collection_holds_what_its_playbooks_reach_beside_themselves(tmp_path: Path) -> None:
    stage(tmp_path / "tree", "1.2.3")
    tasks = [path.read_text(encoding="utf-8") for path in (tmp_path / "tree" / "roles").rglob("*.yml")]
    reached = {name for text in tasks for name in re.findall(r"playbook_dir \}\}/\.\./([\w./-]+)", text)}
    assert {"model", "requirements"} <= reached
    assert [name for name in sorted(reached) if not (tmp_path / "tree" / name).exists()] == []


@pytest.mark.slow
def test_the_wheel_has_types_and_data(tmp_path: Path) -> None:
    build_package(tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"scenario_model/py.typed", "scenario_model/evaluate/general.jsonl"} <= set(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"scenario_model-{version()}-py3-none-any.whl",
        f"scenario_model-{version()}.tar.gz",
    ]
    (tmp_path / "SHA256SUMS").write_text(checksums(tmp_path), encoding="ascii")
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run an Ansible program where the built collection is installed, away from this repository."""
    folder = tmp_path_factory.mktemp("collection")
    archive = build_collection(folder)
    environment = {
        **os.environ,
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "installed"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        "ANSIBLE_NOCOLOR": "1",
    }

    def run(program: str, *arguments: str) -> str:
        done = subprocess.run(
            [BIN / program, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("ansible-galaxy", "collection", "install", "--offline", "-p", str(folder / "installed"), str(archive))
    return run


@pytest.mark.slow
def test_ansible_finds_every_module_role_and_playbook_of_the_collection(
    installed: Callable[..., str],
) -> None:
    modules = json.loads(installed("ansible-doc", "--list", "--json", "-t", "module", "scenario.model"))
    ours = {f"scenario.model.{path.stem}" for path in (ROOT / "ansible" / "library").glob("*.py")}
    assert modules.keys() == ours
    roles = installed("ansible-doc", "--list", "-t", "role", "scenario.model")
    assert all(f"scenario.model.{path.name}" in roles for path in (ROOT / "ansible" / "roles").iterdir())
    for path in sorted((ROOT / "ansible").glob("*.yml")):
        inventory = str(ROOT / "ansible" / "inventory" / "localhost.yml")
        installed("ansible-playbook", "-i", inventory, "--syntax-check", f"scenario.model.{path.stem}")


@pytest.mark.slow
def test_a_module_of_the_collection_runs_with_its_module_utilities(installed: Callable[..., str]) -> None:
    told = installed("ansible", "localhost", "-m", "scenario.model.gpu_hardware", "-a", "root=/nowhere")
    assert json.loads(told.partition("=>")[2])["gpus"] == []


@pytest.mark.slow
def test_the_preflight_of_the_collection_finds_this_machine_fit(
    installed: Callable[..., str], tmp_path: Path
) -> None:
    variables = json.dumps({"scenario_root": str(tmp_path / "root"), "serving": {"port": 0}})
    inventory = str(ROOT / "ansible" / "inventory" / "localhost.yml")
    told = installed("ansible-playbook", "-i", inventory, "scenario.model.preflight", "-e", variables)
    assert re.search(r"ok=\d+ +changed=0 +unreachable=0 +failed=0", told)
    assert not (tmp_path / "root").exists()
