"""What commands log: lines for people, JSON for programs, errors alone on request; on standard error."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

COMMAND = """
import sys
from bootstrap.console import Progress, detail, run, say

def main():
    say("making it: 100 % sure")
    detail("running cc")
    progress = Progress("downloading", interval_s=0)
    for share in (10, 90):
        progress.update(f"{share} MB")
    say("half way")
    progress.update("95 MB")
    progress.done("95 MB")
    print("the answer", *sys.argv[1:])
    if "wrong" in sys.argv:
        sys.exit("make it: no compiler; install one")

run(main)
"""
LINES = [
    "making it: 100 % sure",
    "  downloading: 10 MB, 0 s",
    "  downloading: 90 MB, 0 s",
    "half way",
    "  downloading: 95 MB, 0 s",
    "  downloading: 95 MB in 0 s",
]


# A live line is rewritten five times a second at most.
SLOW = COMMAND.replace("(10, 90)", "(10,)").replace(
    "progress.update(f", "time.sleep(0.21); progress.update(f"
)
SLOW = f"import time{SLOW}"


def ran(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it, its standard error no terminal."""
    command = [sys.executable, "-c", COMMAND, *arguments]
    variables = {**os.environ, **environment}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    done.stderr = timeless(done.stderr)
    return done


def timeless(text: str) -> str:
    """The text without what depends on how busy the machine is."""
    return re.sub(r"\b\d+ s\b", "0 s", text)


def test_lines_for_people_go_to_standard_error_and_the_answer_to_standard_output() -> None:
    done = ran("s3-local")
    assert done.stderr.splitlines() == LINES
    assert done.stdout == "the answer s3-local\n"


def test_an_error_is_one_line_and_exit_code_1() -> None:
    done = ran("wrong")
    assert done.stderr.splitlines() == [*LINES, "make it: no compiler; install one"]
    assert done.returncode == 1


@pytest.mark.parametrize("given", [("-v",), ("--verbose",)])
def test_verbose_says_what_is_run_as_well(given: tuple[str, ...]) -> None:
    done = ran(*given, "s3-local")
    assert done.stderr.splitlines() == [LINES[0], "running cc", *LINES[1:]]
    assert done.stdout == "the answer s3-local\n"


@pytest.mark.parametrize("given", ["-q", "--quiet"])
def test_quiet_leaves_errors_and_the_answer(given: str) -> None:
    assert ran(given).stderr == ""
    done = ran(given, "wrong")
    assert done.stderr == "make it: no compiler; install one\n"
    assert done.stdout == "the answer wrong\n"
    assert done.returncode == 1


def test_json_is_an_object_a_line_with_time_level_and_message() -> None:
    done = ran("--json", "-v", "wrong")
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(record.keys() == {"time", "level", "message"} for record in records)
    assert [record["message"] for record in records[:2]] == [LINES[0], "running cc"]
    assert [record["level"] for record in records[:2]] == ["info", "debug"]
    assert records[-1]["level"] == "error"
    assert records[-1]["message"] == "make it: no compiler; install one"
    assert all(datetime.fromisoformat(record["time"]).tzinfo for record in records)
    assert done.stdout == "the answer wrong\n"
    assert done.returncode == 1


def test_make_variables_do_the_same(tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"up:\n\t@{sys.executable} $(PROGRAM) s3-local\n", encoding="utf-8")
    program = tmp_path / "program.py"
    program.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{COMMAND}", encoding="utf-8")
    command = ["make", "-C", str(tmp_path), "--no-print-directory", "up", f"PROGRAM={program}"]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    for given, lines in (("V=1", 7), ("V=0", 6), ("Q=1", 0)):
        done = subprocess.run([*command, given], env=outside, capture_output=True, text=True, check=True)
        assert len(done.stderr.splitlines()) == lines
        assert done.stdout == "the answer s3-local\n"


def test_the_variables_are_not_handed_on_to_what_a_command_runs() -> None:
    program = "from bootstrap.console import run; import os; run(lambda: print('JSON' in os.environ))"
    command = [sys.executable, "-c", program]
    variables = {**os.environ, "JSON": "1"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_options_after_the_first_argument_are_the_commands_own() -> None:
    done = ran("run", "-v", "-q", "--json")
    assert done.stdout == "the answer run -v -q --json\n"
    assert done.stderr.splitlines() == LINES


def test_verbose_and_quiet_together_are_refused() -> None:
    done = ran("-q", "-v")
    assert done.stderr == "invalid options: --verbose and --quiet are mutually exclusive; use one of them\n"
    assert done.returncode == 1


def on_a_terminal(*arguments: str) -> str:
    """What a terminal is sent."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        sent = b""
        try:
            while some := os.read(ours, 1 << 16):
                sent += some
        except OSError:  # how Linux says that the other end is closed
            pass
        assert process.wait() == 0
    os.close(ours)
    return timeless(sent.decode().replace("\r\n", "\n"))


def test_a_terminal_sees_one_live_line_that_no_other_line_runs_into() -> None:
    sent = on_a_terminal()
    assert sent.startswith("making it: 100 % sure\n\r  downloading: 10 MB, 0 s\x1b[K\r\x1b[Khalf way\n")
    assert sent.endswith("\n  downloading: 95 MB in 0 s\n")


@pytest.mark.parametrize("given", ["-q", "--json"])
def test_a_terminal_sees_no_live_line_where_it_was_not_asked_for(given: str) -> None:
    sent = on_a_terminal(given)
    assert "\r" not in sent
    assert "\x1b" not in sent
    assert [json.loads(line)["level"] for line in sent.splitlines()] == (
        [] if given == "-q" else ["info"] * 5
    )
