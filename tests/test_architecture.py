"""Who may import whom: settings -> placement -> components -> stacks -> __main__; model/ on its own; no circles."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imports_of(file: Path) -> set[str]:
    """The modules that a file imports, anywhere in it, for types too."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def forbidden_in(folder: str, *modules: str) -> list[str]:
    """`file imports module` for each import below `folder` of a module that is not for it."""
    return [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in sorted((ROOT / folder).rglob("*.py") if (ROOT / folder).is_dir() else [ROOT / folder])
        for name in sorted(imports_of(file))
        if any(name == each or name.startswith(f"{each}.") for each in modules)
    ]


TORCH = ("torch", "transformers", "peft")
MODEL = (*TORCH, "scenario_model")
PULUMI = ("pulumi", "pulumi_aws", "pulumi_kubernetes")
TOOLS = ("bootstrap", "bundle", "cli", "lab", "recovery")


@pytest.mark.parametrize(
    ("folder", "modules"),
    [
        ("model/scenario_model", (*PULUMI, *TOOLS, "ansible_runner", "ansible", "components", "stacks")),
        ("stacks/placement.py", (*MODEL, *PULUMI, "components", "stacks", "pydantic")),
        (
            "stacks/scenarios.py",
            (*MODEL, *PULUMI, "components", "stacks.settings", "stacks.builders", "pydantic"),
        ),
        (
            "stacks/residency.py",
            (*MODEL, *PULUMI, "components", "stacks.settings", "stacks.builders", "pydantic"),
        ),
        ("stacks/settings", (*TORCH, *PULUMI, "components", "stacks.builders", "stacks.residency")),
        ("stacks", (*TORCH, *TOOLS, "ansible_runner", "ansible", "policies", "previews", "__main__")),
        ("components", (*MODEL, *TOOLS, "stacks", "__main__")),
        ("recovery", (*MODEL, *PULUMI, "components", "stacks", "cli", "lab")),
        ("ansible", (*PULUMI, "components", "stacks")),
        # A role's files run on hosts, with the model package's torch; what Ansible itself loads has none.
        ("ansible/library", MODEL),
        ("ansible/module_utils", MODEL),
        ("ansible/callback_plugins", MODEL),
        ("ansible/action_plugins", MODEL),
        ("ansible/filter_plugins", (*MODEL, "ansible")),
        ("cli", (*MODEL, "components", "recovery", "stacks.settings", "stacks.builders", "stacks.program")),
        (
            "policies",
            (
                *MODEL,
                *TOOLS,
                "components",
                "previews",
                "stacks.settings",
                "stacks.builders",
                "stacks.program",
            ),
        ),
        ("images", (*TORCH, "cli", "bundle", "lab", "recovery", "policies", "previews", "__main__")),
        ("previews", (*MODEL, "components", "recovery", "lab", "stacks.settings", "stacks.builders")),
        ("bundle", (*MODEL, *PULUMI, "components", "stacks", "cli", "lab", "ansible")),
        ("bootstrap", (*MODEL, "components", "stacks", "cli", "lab", "bundle")),
        ("lab", (*MODEL, "components", "stacks", "cli")),
        ("lab/premises", (*PULUMI, "ansible", "ansible_runner", "lab.kubernetes")),
        ("lab/kubernetes", (*PULUMI, "ansible", "ansible_runner")),
    ],
)
def test_nothing_imports_against_the_direction_of_dependency(folder: str, modules: tuple[str, ...]) -> None:
    assert (ROOT / folder).exists()
    assert forbidden_in(folder, *modules) == []


def test_stacks_take_settings_and_signed_reports_alone_from_the_model_package_and_no_torch_with_them() -> (
    None
):
    taken = {name for file in (ROOT / "stacks").rglob("*.py") for name in imports_of(file)}
    found = sorted(name for name in taken if name.startswith("scenario_model"))
    described = {"scenario_model.config", "scenario_model.describe"}
    described |= {"scenario_model.report", "scenario_model.errors"}
    assert [name for name in found if not name.endswith(".settings") and name not in described] == []
    program = (
        f"import stacks, sys, {', '.join(found)}; sys.exit(str(set(sys.modules) & {{'numpy', *{TORCH!r}}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "set()"


@cache
def modules() -> dict[str, Path]:
    """Every module of this tree, by its dotted name."""
    homes = {"model": ROOT / "model", "": ROOT}
    folders = ("bootstrap", "bundle", "cli", "components", "lab", "publish", "recovery", "stacks")
    found: dict[str, Path] = {}
    for folder, home in ((folder, homes[""]) for folder in folders):
        found |= {_dotted(file, home): file for file in (home / folder).rglob("*.py")}
    home = homes["model"]
    return found | {_dotted(file, home): file for file in (home / "scenario_model").rglob("*.py")}


def _dotted(file: Path, home: Path) -> str:
    return ".".join(file.relative_to(home).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(name: str, file: Path) -> set[str]:
    """The modules of this tree that one imports: `from a import b` is a module b, where there is one."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if each in modules() else node.module for each in inner}
    return {each for each in found if each in modules()} - {name}


def room_of(name: str, depth: int) -> str:
    return ".".join(name.split(".")[:depth])


@pytest.mark.parametrize("depth", [1, 2, 99], ids=["top folders", "rooms", "modules"])
def test_no_circle_of_imports_anywhere(depth: int) -> None:
    graph: dict[str, set[str]] = {}
    for name, file in modules().items():
        here = room_of(name, depth)
        there = {room_of(each, depth) for each in imported_modules(name, file)}
        graph.setdefault(here, set()).update(there - {here})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_only_the_worker_calls_ansible_runner() -> None:
    callers = [
        str(file.relative_to(ROOT))
        for folder in ("bootstrap", "cli", "components", "lab", "model", "recovery", "stacks", "tests")
        for file in sorted((ROOT / folder).rglob("*.py"))
        if "ansible_runner" in {name.split(".")[0] for name in imports_of(file)}
    ]
    assert callers == ["components/ansible/worker.py"]


def test_only_the_readers_process_loads_ansible() -> None:
    found = forbidden_in("components", "ansible")
    assert {line.partition(" ")[0] for line in found} == {"components/ansible/inventory_reader.py"}
    users = [
        name for name, file in modules().items() if "components.ansible.inventory_reader" in imports_of(file)
    ]
    assert users == []


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


BEFORE_ANYTHING_IS_INSTALLED = (
    *("bootstrap", "cli", "lab/binaries", "lab/images", "lab/kubernetes", "lab/premises"),
    *("stacks/__init__.py", "stacks/placement.py", "stacks/scenarios.py"),
)


def test_what_runs_before_anything_is_installed_needs_the_standard_library_alone() -> None:
    ours = {*sys.stdlib_module_names, "bootstrap", "bundle", "cli", "lab", "stacks"}
    files = [
        file
        for each in BEFORE_ANYTHING_IS_INSTALLED
        for file in (sorted((ROOT / each).rglob("*.py")) if (ROOT / each).is_dir() else [ROOT / each])
    ]
    foreign = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files
        for name in sorted(imports_of(file))
        if name.split(".")[0] not in ours
    ]
    assert foreign == []


@pytest.mark.parametrize(
    "program", ["import lab.up, lab.down, lab.aws.env", "import cli.up, cli.down, cli.env"]
)
def test_what_a_make_target_starts_needs_the_standard_library_alone(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_program_is_short() -> None:
    assert len((ROOT / "__main__.py").read_text(encoding="utf-8").splitlines()) <= 25
