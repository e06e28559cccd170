"""The state folder `.state/`: Pulumi's home and backend, the passphrase, and the variables for a shell.

`.state/pulumi` is PULUMI_HOME, `.state/backend` holds every stack's state and history, `.state/passphrase`
(0600) encrypts their secrets, `.state/<stack>` holds what a stack deploys on this machine. A backend of the user's
(PULUMI_BACKEND_URL) replaces ours and our passphrase: what another machine is to go on with is encrypted by
the user's passphrase, or by a key (PULUMI_OPTION_SECRETS_PROVIDER, which Pulumi reads by itself).
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bootstrap.pulumi.__main__ import find_engine
from bootstrap.pulumi.plugins import FETCH_NOTHING, fetch_aws, install_kubernetes
from cli import ROOT, CliError
from cli.stack_files import find_scenario, is_on_aws
from cli.virtualenv import VENV, ensure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stacks.scenarios import Scenario

STATE = ROOT / ".state"
PASSPHRASE = STATE / "passphrase"
BACKEND = STATE / "backend"
# Without metadata: its files are not written atomically, and a killed run leaves one that Pulumi cannot load.
OWN_BACKEND = f"{BACKEND.as_uri()}?metadata=skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A machine set up for a stack: its scenario, and the variables that plain `pulumi` needs."""

    scenario: Scenario
    environment: dict[str, str] = field(repr=False)


def is_ours(environment: Mapping[str, str]) -> bool:
    """Whether the backend of an environment is the one in the state folder."""
    return (environment.get("PULUMI_BACKEND_URL") or OWN_BACKEND) == OWN_BACKEND


def prepare(stack: str) -> Prepared:
    """Set up environment, engine and state folder. Raises ToolError, one line with its remedy."""
    ensure("control")
    scenario = find_scenario(stack)
    ensure(scenario.requirements)
    engine = find_engine(os.environ.get("ENGINE_SOURCE", ""))
    for folder in (STATE, STATE / "pulumi", BACKEND):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    environment = variables(engine)
    if is_ours(environment):
        _make_passphrase()
    if scenario.in_cloud:
        install_kubernetes(STATE / "pulumi", engine)
        if is_on_aws(stack):
            fetch_aws(STATE / "pulumi", engine)
    return Prepared(scenario=scenario, environment=environment)


def variables(engine: Path) -> dict[str, str]:
    """Return the environment in which `pulumi` finds its engine, its Python and its state."""
    ahead = [str(VENV / "bin"), str(engine)]
    behind = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part not in ahead]
    return {
        # .venv comes first: the language host uses the first Python on PATH.
        "PATH": os.pathsep.join([*ahead, *behind]),
        "PULUMI_HOME": str(STATE / "pulumi"),
        "PULUMI_BACKEND_URL": os.environ.get("PULUMI_BACKEND_URL") or OWN_BACKEND,
        **FETCH_NOTHING,
        # A stack's file that lost its salt (a checkout, a new clone) is repaired from the state.
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
    } | ({"PULUMI_CONFIG_PASSPHRASE_FILE": str(PASSPHRASE)} if is_ours(os.environ) else {})


def _make_passphrase() -> None:
    """Generate the passphrase once; a second one would lock the existing stacks for good."""
    if PASSPHRASE.is_file() and PASSPHRASE.stat().st_size:
        return
    if next(BACKEND.rglob("stacks/**/*.json"), None):
        raise CliError(
            f"{PASSPHRASE} is missing, but {BACKEND} holds stacks that only it can decrypt; restore it from "
            "your backup, or remove .state to start over (what is deployed is then no longer known)"
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
