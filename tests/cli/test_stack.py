"""A stack comes back after a killed run, and its tracked file and its passphrase are left in peace."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Tree

pytestmark = pytest.mark.slow

UP = 'stack.create(); stack.recover(); stack.pulumi("up", "--yes", "--skip-preview")'
NO_CHANGE = 'stack.pulumi("preview", "--expect-no-changes")'


def set_seconds(tree: Tree, seconds: float) -> None:
    before = tree.settings.read_text()
    lines = [
        f"{line.rpartition(' ')[0]} {seconds}" if ":seconds:" in line else line
        for line in before.splitlines()
    ]
    tree.settings.write_text("\n".join(lines) + "\n")


def wait_for(path_exists: bool, tree: Tree) -> None:
    deadline = time.monotonic() + 30
    while (tree.path / "creating").exists() is not path_exists:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_creating_the_stack_adds_one_line_to_its_file_and_forgetting_takes_it_out(tree: Tree) -> None:
    before = tree.settings.read_text()
    tree.python("stack.create(); stack.create()")
    added = tree.settings.read_text().removeprefix(before)
    assert added.startswith("encryptionsalt: v1:")
    assert added.count("\n") == 1
    tree.python(f'{UP}; {NO_CHANGE}; stack.ask("stack", "export")')
    assert tree.settings.read_text() == before + added, "Pulumi has no reason to write the file"
    tree.python("stack.forget_salt()")
    assert tree.settings.read_text() == before


def test_the_salt_that_pulumi_writes_can_be_lost_and_comes_back_from_the_state(tree: Tree) -> None:
    tree.python(UP)
    tree.python("stack.forget_salt()")
    tree.python(NO_CHANGE)
    assert "encryptionsalt:" in tree.settings.read_text()
    assert tree.python('print(stack.outputs()["secret"])').stdout == "planted-value\n"


def test_files_that_a_killed_run_did_not_write_to_their_end_are_no_hindrance(tree: Tree) -> None:
    tree.python(UP)
    (state,) = tree.path.glob(".state/backend/**/stacks/*/s3-local.json")
    left = [state.with_name(name) for name in ("s3-local.json.attrs", "s3-local.json.18eb5ebf7a88ebf9.tmp")]
    for path in left:
        path.touch()
    failed = tree.python('stack.ask("stack", "export")', check=False)
    assert "failed to load checkpoint: EOF" in failed.stderr
    tree.python(f"{UP}; {NO_CHANGE}")
    assert not any(path.exists() for path in left)
    assert list(tree.path.glob(".state/backend/**/*.attrs")) == []


def test_a_salt_of_another_state_folder_is_taken_out_and_the_stack_works(tree: Tree) -> None:
    with tree.settings.open("a") as file:
        file.write("encryptionsalt: v1:e5vtMDXse04=:v1:WzSiIaBq5dn7LD18:2ZpDwqM5JF0sx/TTAI1P3BfggWyjsA==\n")
    done = tree.python(UP)
    assert "removed the salt of another state from Pulumi.s3-local.yaml" in done.stderr
    tree.python(NO_CHANGE)


def test_secrets_of_another_state_folder_are_not_thrown_away(tree: Tree) -> None:
    text = tree.settings.read_text() + "  a:b:\n    secure: v1:abc\nencryptionsalt: v1:a:v1:b:c\n"
    tree.settings.write_text(text)
    done = tree.python("stack.create()", check=False)
    assert done.returncode != 0
    assert "contains secrets of another state" in done.stderr
    assert tree.settings.read_text() == text


def test_a_lost_passphrase_is_never_replaced_by_another(tree: Tree) -> None:
    tree.python(UP)
    (tree.path / ".state" / "passphrase").unlink()
    done = tree.python("", check=False)
    assert "is missing, but" in done.stderr
    assert not (tree.path / ".state" / "passphrase").exists()


def test_the_passphrase_is_for_its_owner_only_and_never_in_the_state(tree: Tree) -> None:
    tree.python(UP)
    passphrase = tree.path / ".state" / "passphrase"
    assert passphrase.stat().st_mode & 0o777 == 0o600
    secret = passphrase.read_bytes()
    assert len(secret) >= 43
    for path in tree.path.rglob("*"):
        if path.is_file() and path != passphrase:
            content = path.read_bytes()
            assert secret not in content, path
            assert path.name.startswith("__main__.") or b"planted-value" not in content, path


def test_a_run_killed_in_the_middle_is_taken_up_by_the_next_one(tree: Tree) -> None:
    set_seconds(tree, 20)
    tree.python("stack.create()")
    run = tree.start("up", "--yes", "--skip-preview")
    wait_for(True, tree)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    set_seconds(tree, 0)
    done = tree.python(UP)
    assert "recovery: ending processes that a killed run left behind" in done.stderr
    assert "recovery: a killed run left 1 lock(s) on s3-local: pulumi cancel" in done.stderr
    assert "recovery: pending creates with unknown outcome: creating thing" in done.stderr
    tree.python(NO_CHANGE)
    time.sleep(0.5)
    assert (tree.path / "made").exists()


def test_a_run_that_is_still_going_on_is_not_disturbed(tree: Tree) -> None:
    set_seconds(tree, 6)
    tree.python("stack.create()")
    run = tree.start("up", "--yes", "--skip-preview")
    wait_for(True, tree)
    done = tree.python("stack.recover()", check=False)
    assert f"pulumi (process {run.pid}) is updating s3-local" in done.stderr
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 0, out
    assert "recovery" not in tree.python(UP).stderr


def test_a_lock_that_names_a_number_now_used_by_another_program_is_stale(tree: Tree) -> None:
    tree.python(UP)
    locks = tree.path / ".state/backend/.pulumi/locks/organization/model-deployment-scenarios/s3-local"
    locks.mkdir(parents=True, exist_ok=True)
    node = os.uname().nodename
    (locks / "left.json").write_text(f'{{"pid": {os.getpid()}, "hostname": "{node}"}}')
    assert "pulumi cancel" in tree.python(UP).stderr
    tree.python(NO_CHANGE)


# Stands in for the recovery: while it waits for AWS, another run finds the stack unlocked.
SLOW_RECOVERY = """
import subprocess, sys
export = sys.stdin.read()
print("import_pending: waiting", file=sys.stderr, flush=True)
up = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", "s3-local"]
subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
sys.stdout.write(export)
"""


def test_what_another_run_did_during_a_recovery_is_not_written_over(tree: Tree) -> None:
    tree.python(UP)
    folder = tree.path / "recovery" / "aws"
    folder.mkdir(parents=True)
    (folder / "import_pending.py").write_text(SLOW_RECOVERY)
    (tree.path / ".venv").symlink_to(sys.prefix)
    set_seconds(tree, 0.01)
    done = tree.python("stack._import_pending()", check=False)
    assert "recovery: import_pending: waiting" in done.stderr
    assert "CliError: another run has changed s3-local meanwhile" in done.stderr
    tree.python(NO_CHANGE)


def test_after_destroy_the_history_is_kept_and_nothing_else(tree: Tree) -> None:
    before = tree.settings.read_text()
    tree.python(UP)
    tree.python('stack.pulumi("destroy", "--yes", "--skip-preview"); stack.forget_salt()')
    assert not (tree.path / "made").exists()
    assert tree.settings.read_text() == before
    assert list((tree.path / ".state" / "backend").rglob("*.history.json"))
