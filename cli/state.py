"""The state folder `.state/`: Pulumi's home and backend, the passphrase, and the variables for a shell.

`.state/pulumi` is PULUMI_HOME, `.state/backend` holds every stack's state and history, `.state/passphrase`
(0600) encrypts their secrets, `.state/<stack>` is what a stack on this machine deploys. A backend of the user's
(PULUMI_BACKEND_URL) and a passphrase of the user's take the place of ours.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bootstrap.pulumi.__main__ import find_engine
from bootstrap.pulumi.plugins import install_kubernetes
from cli import ROOT, CliError
from cli.stack_files import find_scenario
from cli.virtualenv import VENV, ensure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stacks.scenarios import Scenario

STATE = ROOT / ".state"
PASSPHRASE = STATE / "passphrase"
BACKEND = STATE / "backend"
# Without metadata: its files are not written in one go, and a run killed meanwhile leaves what Pulumi cannot load.
OWN_BACKEND = f"{BACKEND.as_uri()}?metadata=skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A machine that is ready for a stack: its scenario, and the variables that plain `pulumi` needs."""

    scenario: Scenario
    environment: dict[str, str] = field(repr=False)


def is_ours(environment: Mapping[str, str]) -> bool:
    """Whether the backend of an environment is the one in the state folder."""
    return (environment.get("PULUMI_BACKEND_URL") or OWN_BACKEND) == OWN_BACKEND


def prepare(stack: str) -> Prepared:
    """Make environment, engine and state folder ready. Raises ToolError, one line with its remedy."""
    ensure("control")
    scenario = find_scenario(stack)
    ensure(scenario.requirements)
    engine = find_engine(os.environ.get("ENGINE_SOURCE", ""))
    for folder in (STATE, STATE / "pulumi", BACKEND):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    environment = variables(engine)
    if "PULUMI_CONFIG_PASSPHRASE_FILE" in environment:
        _make_passphrase()
    if scenario.in_cloud:
        install_kubernetes(STATE / "pulumi", engine)
    return Prepared(scenario=scenario, environment=environment)


def variables(engine: Path) -> dict[str, str]:
    """Return the environment in which `pulumi` finds its engine, its Python and its state."""
    ahead = [str(VENV / "bin"), str(engine)]
    behind = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part not in ahead]
    return {
        # .venv comes first: the language host takes the Python that it finds on PATH.
        "PATH": os.pathsep.join([*ahead, *behind]),
        "PULUMI_HOME": str(STATE / "pulumi"),
        "PULUMI_BACKEND_URL": os.environ.get("PULUMI_BACKEND_URL") or OWN_BACKEND,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # A stack's file that lost its salt (a checkout, a new clone of the file) is mended from the state.
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
    } | ({} if _has_passphrase() else {"PULUMI_CONFIG_PASSPHRASE_FILE": str(PASSPHRASE)})


def _has_passphrase() -> bool:
    """Whether the user brings a passphrase along with a backend; the one of ours fits our backend alone."""
    return not is_ours(os.environ) and any(
        os.environ.get(name) for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
    )


def _make_passphrase() -> None:
    """Generate the passphrase once; a second one would lock the same stacks for good."""
    if PASSPHRASE.is_file() and PASSPHRASE.stat().st_size:
        return
    if next(BACKEND.rglob("stacks/**/*.json"), None):
        raise CliError(
            f"{PASSPHRASE} is gone, but {BACKEND} holds stacks that only it can decrypt; put it back from "
            "your backup, or remove .state to begin anew (what is deployed is then no longer known)"
        )
    aside = PASSPHRASE.with_suffix(".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(
        os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii"
    ) as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        os.fsync(file.fileno())
    aside.rename(PASSPHRASE)
