"""The engine in an empty room: state without secrets, environment without credentials, providers that ask nobody."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from bootstrap.pulumi.plugins import FETCH_NOTHING
from cli import PROJECT
from previews import PreviewError
from previews.events import read_events
from previews.sealed import sealed_settings, sealed_state, secrets_in
from stacks.scenarios import ScenarioError
from stacks.stack_file import content_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLUGINS = ("aws", "kubernetes")
_ALLOWED = ("LANG", "LC_ALL", "TZ")
_SECONDS = 300
# Whatever program is previewed, these judge it.
_OWN = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    """What the engine said of a stack. `secrets`: of its state and settings, none of which it was told."""

    stack: str
    events: list[dict[str, Any]]
    plan: dict[str, Any]
    is_new: bool
    secrets: int


class Sandbox:
    """A backend of its own, with the last state of each stack. Nothing is written outside of `folder`.

    Attributes:
        environment: of whatever runs there.

    """

    def __init__(
        self, root: Path, folder: Path, engine: Path, states: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """`root`: of the project. `states`: each stack's deployment, as `pulumi stack export` has it; empty: none."""
        self._root, self._folder = root, folder
        self._states: dict[str, Mapping[str, Any]] = {}
        for name in ("backend", "home", "bin", "tmp", "aside"):
            (folder / name).mkdir(parents=True)
        for package in _PLUGINS:
            self._write_plugin(package)
        path = [str(folder / "bin"), str(root / ".venv" / "bin"), str(engine), *os.defpath.split(os.pathsep)]
        self.environment = {
            **{name: os.environ[name] for name in _ALLOWED if name in os.environ},
            "PATH": os.pathsep.join(path),
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"{(folder / 'backend').as_uri()}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE": "nothing is secret here",
            **FETCH_NOTHING,
            # Without it, `preview` has no --event-log.
            "PULUMI_DEBUG_COMMANDS": "true",
            "PYTHONDONTWRITEBYTECODE": "1",
            # The engine asks git which commit this is; git would refresh its index.
            "GIT_OPTIONAL_LOCKS": "0",
            "SCENARIO_PREVIEW": "elsewhere",
        }
        self._salt = self._make_salt()
        for stack, deployment in states.items():
            self.put(stack, deployment)

    def put(self, stack: str, deployment: Mapping[str, Any]) -> None:
        """Give the backend a stack's last state, as its own files have them."""
        self._states[stack] = deployment
        stacks = self._folder / "backend" / ".pulumi" / "stacks" / PROJECT
        made = json.loads((stacks / "salt.json").read_text(encoding="utf-8"))
        made["checkpoint"]["stack"] = made["checkpoint"]["stack"].removesuffix("salt") + stack
        made["checkpoint"]["latest"] = sealed_state(deployment, self._salt)
        (stacks / f"{stack}.json").write_text(json.dumps(made), encoding="utf-8")

    def knows(self, stack: str) -> bool:
        """Whether there is a last state of the stack."""
        return bool(self._states.get(stack, {}).get("resources"))

    def preview(self, stack: str, file: Path) -> Previewed:
        """Preview a stack by its file. Raises PreviewError if the engine does not end, or says nothing."""
        sealed, secrets = self.sealed(file)
        events, plan = self._run(stack, sealed, "--policy-pack", str(_OWN / "policies" / "pack"))
        said = [event for event in events if "policyEvent" in event]
        if not plan and said:
            # Where a rule is broken the engine makes no plan, without which what depends on what is not known.
            events, plan = self._run(stack, sealed)
            events = said + events
        deployment = self._states.get(stack, {})
        return Previewed(
            stack=stack,
            events=events,
            plan=plan,
            is_new=not self.knows(stack),
            secrets=secrets + secrets_in(deployment.get("resources") or []),
        )

    def _run(self, stack: str, file: Path, *more: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return the engine's events and its plan; no plan, if it fails."""
        log, plan = self._folder / f"{stack}.events", self._folder / f"{stack}.plan"
        for old in (log, plan):
            old.unlink(missing_ok=True)
        done = self._pulumi(
            *("preview", "--stack", stack, "--config-file", str(file), "--non-interactive"),
            *("--event-log", str(log), "--save-plan", str(plan), *more),
        )
        told = read_events(log, done.stderr)
        return told, json.loads(plan.read_text(encoding="utf-8")) if plan.is_file() else {}

    def sealed(self, file: Path) -> tuple[Path, int]:
        """Write a stack's file without its secrets; return where, and how many there were. Raises PreviewError."""
        try:
            content = content_of(file)
        except ScenarioError as error:
            raise PreviewError(str(error)) from None
        settings, secrets = sealed_settings(content, self._salt)
        settings["config"].pop("premises:previewCheck", None)  # it would ask the hosts
        sealed = self._folder / file.name
        sealed.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return sealed, secrets

    def _write_plugin(self, package: str) -> None:
        program = self._folder / "bin" / f"pulumi-resource-{package}"
        program.write_text(
            "#!/bin/sh\n"
            f"cd {shlex.quote(str(_OWN))} || exit 1\n"
            f'exec {shlex.quote(sys.executable)} -m previews.plugin {package} "$@"\n',
            encoding="utf-8",
        )
        program.chmod(0o755)

    def _make_salt(self) -> str:
        aside = self._folder / "aside"
        (aside / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n", encoding="utf-8")
        done = self._pulumi("stack", "init", "salt", "--cwd", str(aside), "--non-interactive")
        if done.returncode:
            raise PreviewError(f"the engine cannot begin: {done.stderr.strip()[-400:]}")
        written = yaml.safe_load((aside / "Pulumi.salt.yaml").read_text(encoding="utf-8"))
        return str(written["encryptionsalt"])

    def _pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603
                ["pulumi", *arguments],  # noqa: S607 found on the PATH that was made for it
                cwd=self._root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PreviewError(f"`pulumi {arguments[0]}` did not end within {_SECONDS} s") from None
