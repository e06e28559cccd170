"""Who may import whom: settings -> placement -> components -> stacks -> __main__; model/ on its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imports_of(file: Path) -> set[str]:
    """The modules that a file imports, anywhere in it, for types too."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


LOGGING = "bootstrap.console"  # of every tool: a component's command logs as the others do


def forbidden_in(folder: str, *modules: str) -> list[str]:
    """`file imports module` for each import below `folder` of a module that is not for it."""
    return [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in sorted((ROOT / folder).rglob("*.py") if (ROOT / folder).is_dir() else [ROOT / folder])
        for name in sorted(imports_of(file))
        if name.split(".")[0] in modules or name in modules
        if not (name == LOGGING and folder == "components")
    ]


TORCH = ("torch", "transformers", "peft", "scenario_model")
INFRASTRUCTURE = ("pulumi", "ansible_runner", "ansible", "components", "stacks", "controller", "engine")


@pytest.mark.parametrize(
    ("folder", "modules"),
    [
        ("model/scenario_model", INFRASTRUCTURE),
        ("stacks/settings/base.py", (*TORCH, "pulumi", "components", "stacks")),
        ("stacks/settings/premises.py", (*TORCH, "pulumi", "components", "stacks.placement", "stacks.scenarios")),
        ("stacks/settings/read.py", (*TORCH, "pulumi", "components", "stacks.placement", "stacks.scenarios")),
        ("stacks/placement.py", (*TORCH, "pulumi", "components")),
        ("components", (*TORCH, "stacks", "controller", "engine", "__main__")),
        ("stacks", (*TORCH, "ansible_runner", "ansible", "controller", "engine", "__main__")),
        ("ansible", ("pulumi", "components", "stacks")),
        # A role's files run on hosts, with the model package's torch; what Ansible itself loads has none.
        ("ansible/library", TORCH),
        ("ansible/module_utils", TORCH),
        ("ansible/callback_plugins", TORCH),
        ("ansible/action_plugins", TORCH),
        ("ansible/filter_plugins", (*TORCH, "ansible")),
        ("controller", ("components", "stacks", *TORCH)),
        ("bundle", ("components", "stacks", "controller", "lab", "pulumi", "ansible", *TORCH)),
        ("engine", ("components", "stacks", "controller", *TORCH)),
        ("lab", ("components", "stacks", "controller", *TORCH)),
        ("lab/premises", ("pulumi", "ansible", "ansible_runner", "lab.kubernetes")),
        ("lab/kubernetes", ("pulumi", "ansible", "ansible_runner")),
    ],
)
def test_nothing_imports_against_the_direction_of_dependency(folder: str, modules: tuple[str, ...]) -> None:
    assert (ROOT / folder).exists()
    assert forbidden_in(folder, *modules) == []


def test_only_the_worker_calls_ansible_runner() -> None:
    callers = [
        str(file.relative_to(ROOT))
        for folder in ("components", "stacks", "controller", "engine", "lab", "model", "tests")
        for file in sorted((ROOT / folder).rglob("*.py"))
        if "ansible_runner" in {name.split(".")[0] for name in imports_of(file)}
    ]
    assert callers == ["components/ansible/worker.py"]


def test_no_test_loads_what_patches_python_for_all_that_run_beside_it() -> None:
    """Ansible's classes for plugins patch `sys.intern`, after which torch cannot be imported any more."""
    loaded = ("ansible.plugins", "ansible.errors", "ansible.template", "ansible.parsing", "ansible.utils")
    found = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in sorted((ROOT / "tests").rglob("*.py"))
        for name in sorted(imports_of(file))
        if name.startswith(loaded)
    ]
    assert found == []


def test_what_runs_before_anything_is_installed_needs_the_standard_library_alone() -> None:
    foreign = [
        f"{file.relative_to(ROOT)} imports {name}"
        for folder in ("engine", "controller", "lab/binaries", "lab/images", "lab/kubernetes", "lab/premises")
        for file in sorted((ROOT / folder).rglob("*.py"))
        for name in sorted(imports_of(file))
        if name.split(".")[0] not in {*sys.stdlib_module_names, "bundle", "engine", "controller", "lab"}
    ]
    assert foreign == []


def test_what_starts_and_ends_a_lab_needs_the_standard_library_alone() -> None:
    program = "import lab.up, lab.down, lab.aws.env"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_program_is_short() -> None:
    assert len((ROOT / "__main__.py").read_text(encoding="utf-8").splitlines()) <= 25
