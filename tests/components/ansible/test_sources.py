"""What makes a playbook run again: what it uses, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.ansible.sources import digest_of_files, package_digest, playbook_sources
from components.errors import PremisesError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "ansible/site.yml": "- ansible.builtin.import_playbook: serve.yml\n",
        "ansible/serve.yml": "- hosts: all\n  roles: [one, {role: two}]\n",
        "ansible/other.yml": "- hosts: all\n  roles: [unused]\n",
        "ansible/roles/one/tasks/main.yml": "- ansible.builtin.include_role: {name: three}\n",
        "ansible/roles/one/templates/broken.yml": "{% if %}: [",
        "ansible/roles/two/meta/main.yml": "dependencies: [{role: four}]\n",
        "ansible/roles/three/tasks/main.yml": "- block:\n    - import_role: {name: one}\n",
        "ansible/roles/four/tasks/main.yml": "[]\n",
        "ansible/roles/unused/tasks/main.yml": "[]\n",
        "ansible/library/module.py": "pass\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_every_way_of_using_a_role_is_seen(project: Path) -> None:
    used = {"site.yml", "serve.yml", "roles/one", "roles/two", "roles/three", "roles/four", "shared"}
    assert set(playbook_sources(project, "ansible/site.yml")) == used


@pytest.mark.parametrize(
    ("changed", "shows_in"),
    [
        ("ansible/roles/four/tasks/main.yml", {"roles/four"}),
        ("ansible/roles/one/templates/broken.yml", {"roles/one"}),
        ("ansible/library/module.py", {"shared"}),
        ("ansible/roles/unused/tasks/main.yml", set()),
        ("ansible/other.yml", set()),
        ("ansible/roles/one/__pycache__/x.pyc", set()),
    ],
)
def test_a_change_shows_in_what_it_belongs_to(project: Path, changed: str, shows_in: set[str]) -> None:
    before = playbook_sources(project, "ansible/serve.yml")
    (project / changed).parent.mkdir(exist_ok=True)
    with (project / changed).open("a", encoding="utf-8") as file:
        file.write("# more\n")
    after = playbook_sources(project, "ansible/serve.yml")
    assert {name for name in after if after[name] != before[name]} == shows_in


def test_a_role_that_is_not_there_is_named(project: Path) -> None:
    (project / "ansible" / "serve.yml").write_text("- hosts: all\n  roles: [missing]\n", encoding="utf-8")
    with pytest.raises(PremisesError, match=r"ansible/serve\.yml uses roles/missing, which is not in"):
        playbook_sources(project, "ansible/serve.yml")


def test_a_renamed_file_and_an_executable_bit_are_changes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x", encoding="utf-8")
    first = digest_of_files([tmp_path / "a"], tmp_path)
    (tmp_path / "a").chmod(0o755)
    second = digest_of_files([tmp_path / "a"], tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    third = digest_of_files([tmp_path / "b"], tmp_path)
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("playbook", ["preflight", "runtime", "train", "serve", "reset"])
def test_the_playbooks_of_the_repository_are_understood(playbook: str) -> None:
    sources = playbook_sources(ROOT, f"ansible/{playbook}.yml")
    assert any(name.startswith("roles/") for name in sources)


def test_the_package_digest_covers_source_and_lock() -> None:
    assert package_digest(ROOT) == package_digest(ROOT)
    assert package_digest(ROOT) != package_digest(ROOT / "tests")
