"""Commands in documents: they name what is there, and say how a fresh shell finds their programs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "ansible" / "README.md"]
)
# Installed in .venv or below .state: on PATH after `eval "$(make -s env)"`.
OURS = {
    "pulumi",
    "ansible",
    "ansible-inventory",
    "ansible-playbook",
    "ansible-vault",
    "python",
    "scenario-model",
}


@cache
def commands(document: Path) -> list[list[str]]:
    """The commands of a document's blocks without a language, in order, each as words; comments count as words."""
    blocks = re.findall(
        r"^```(?:sh|bash)?\n(.*?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    found = []
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            command, _, comment = line.partition("  #")
            for each in re.split(r"[;|] ", command):
                try:
                    found.append([*shlex.split(each), *([comment] if comment else [])])
                except ValueError:
                    continue  # a picture or an output
    return [words for words in found if words]


def calls(program: str) -> list[tuple[Path, list[str]]]:
    return [
        (document, words[words.index(program) + 1 :])
        for document in DOCUMENTS
        for words in commands(document)
        if words[0] in {program, "sudo"} and program in words
    ]


def test_programs_are_found_in_a_fresh_shell_that_follows_the_document() -> None:
    lost = []
    for document in DOCUMENTS:
        given = False
        for words in commands(document):
            given = given or any("make -s env" in word for word in words)
            if words[0] in OURS and not given:
                lost.append(f"{document.name}: {' '.join(words)}")
    assert lost == []


def test_targets_of_make_and_modules_of_python_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for document, words in calls("make"):
        named = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
        assert set(named) <= targets, (document.name, words)
    for program in ("python", "python3"):
        for document, words in calls(program):
            if words[0] == "-m" and words[1].split(".")[0] not in sys.stdlib_module_names:
                module = ROOT / words[1].replace(".", "/")
                there = module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()
                assert there, (document.name, words)


@pytest.mark.slow
def test_playbooks_and_options_of_ansible_are_there() -> None:
    playbooks = set()
    for document, words in calls("ansible-playbook"):
        named = [word for word in words if word.endswith(".yml") and "/" not in word]
        unknown = [
            word for word in words if word.startswith("--") and word not in {"--check", "--diff", "--limit"}
        ]
        assert named, (document.name, words)
        assert unknown == [], (document.name, words)
        playbooks |= set(named)
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "-i", "inventory/example.yml", "--syntax-check", *sorted(playbooks)]
    done = subprocess.run(command, cwd=ROOT / "ansible", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_way_to_the_hosts_works_as_written_in_a_fresh_shell(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```\n(eval .*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for line in block.splitlines() if "--become" not in line]  # not every machine has sudo
    shutil.copytree(ROOT / "ansible", tmp_path / "ansible")
    stand_in = tmp_path / "bin" / "make"  # for `make -s env`, which sets up an engine and a stack
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\necho "export PATH={Path(sys.executable).parent}:$PATH"\n')
    stand_in.chmod(0o755)
    environment = {"PATH": f"{stand_in.parent}:/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    shell = ["/bin/bash", "--noprofile", "--norc", "-euxc", "\n".join(lines)]
    done = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--localhost" in done.stdout
    assert "ping: pong" in done.stdout or '"ping": "pong"' in done.stdout
