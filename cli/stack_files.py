"""The files of stacks, `stacks/Pulumi.<stack>.yaml`: a stack's scenario, and creating the file of a new stack."""

from __future__ import annotations

import re
import socket
import subprocess

from cli import ROOT, CliError
from cli.virtualenv import VENV
from stacks.scenarios import SCENARIOS, Scenario, ScenarioError, scenario_of

FOLDER = ROOT / "stacks"
SALT = re.compile(r"^(encryptionsalt|secretsprovider|encryptedkey):.*\n?", re.MULTILINE)
"""Keys that Pulumi adds to a stack's file: how the secrets of this state are encrypted."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_PORT = re.compile(r"^(\s+port: )(\d+)", re.MULTILINE)


def find_scenario(stack: str) -> Scenario:
    """Return the scenario from a stack's file. Raises CliError."""
    if not (FOLDER / f"Pulumi.{stack}.yaml").is_file():
        raise CliError(
            f"stacks/Pulumi.{stack}.yaml does not exist; create it with the settings of a scenario, "
            f"`make up STACK={stack} SCENARIO=s3-local`, or use one of the stacks {', '.join(stacks())}"
        )
    _text(stack)  # refuses what is no text, before Pulumi's own lines are looked for in it
    if stack in SCENARIOS:
        try:
            return scenario_of(stack)
        except ScenarioError as error:
            raise CliError(str(error)) from None
    command = [str(VENV / "bin" / "python"), "-m", "stacks.stack_file", stack]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise CliError(done.stderr.strip()[-800:])
    return SCENARIOS[done.stdout.strip()]


def is_on_aws(stack: str) -> bool:
    """Whether a stack's cloud is AWS, which it is unless its file says something else."""
    return not re.search(r"^\s+cloud:kind:\s*[\"']?kubernetes", _text(stack), re.MULTILINE)


def add_stack(stack: str, scenario: str) -> bool:
    """Write the file of a new stack: its scenario's, with its own folders, names and ports.

    Return whether it was created. Raises CliError for an invalid name, or an unknown scenario.
    """
    file = FOLDER / f"Pulumi.{stack}.yaml"
    if file.is_file():
        return False
    if not _NAME.fullmatch(stack):
        raise CliError(f"invalid stack name {stack!r}: use letters, digits, '.', '_' and '-'")
    try:
        chosen = scenario_of(stack, scenario)
    except ScenarioError as error:
        raise CliError(str(error)) from None
    template = SALT.sub("", _text(chosen.name))
    lines = [_renamed(line, chosen.name, stack) for line in template.splitlines()]
    lines.insert(lines.index("config:") + 1, f"  model-deployment-scenarios:scenario: {chosen.name}")
    taken = {int(found[2]) for name in stacks() for found in _PORT.finditer(_text(name))}

    def own(found: re.Match[str]) -> str:
        port = next(each for each in range(int(found[2]), 65536) if each not in taken and _is_free(each))
        taken.add(port)
        return f"{found[1]}{port}"

    file.write_text(_PORT.sub(own, "\n".join(lines) + "\n"), encoding="utf-8")
    return True


def _is_free(port: int) -> bool:
    """Whether nothing listens there on this machine: another checkout's stack may."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True


def _renamed(line: str, scenario: str, stack: str) -> str:
    """Replace the scenario's name in the file's values by the stack's; comments stay unchanged."""
    settings, mark, comment = line.partition("#")
    own = re.sub(rf"(?<![\w-]){re.escape(scenario)}(?![\w-])", stack, settings)
    return f"{own}{mark}{comment}"


def stacks() -> list[str]:
    """Return the stacks that have a file, by name."""
    return sorted(
        path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in FOLDER.glob("Pulumi.*.yaml")
    )


def _text(stack: str) -> str:
    try:
        return (FOLDER / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(
            f"stacks/Pulumi.{stack}.yaml cannot be read: {error}; restore it, or remove it"
        ) from None
