"""Credentials for a registry, where `docker login` keeps them: Docker's config.json and credential helpers.

https://docs.docker.com/reference/cli/docker/login/ and https://github.com/docker/docker-credential-helpers
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scenario_model.errors import InputError

_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HELPER_SECONDS = 60
_ABSENT = "credentials not found"
_TOKEN_USER = "<token>"  # noqa: S105  (a marker, not a secret)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and secret, or an identity token to be exchanged for an access token."""

    user: str
    secret: str = field(repr=False)
    is_identity: bool = False

    @property
    def basic(self) -> str:
        """The value of a header `Authorization`."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()


def credentials_for(host: str) -> Credentials | None:
    """The credentials for a registry, or None. Raises InputError for a file or helper that cannot be used."""
    base = os.environ.get("DOCKER_CONFIG")
    file = (Path(base) if base else Path.home() / ".docker") / "config.json"
    try:
        config = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not JSON"
        raise InputError(f"cannot be read: {reason}", where=str(file)) from None
    helper = _part(config, "credHelpers").get(host) or _part({"": config}, "").get("credsStore")
    if helper:
        return _from_helper(helper, host, file)
    auths = _part(config, "auths")
    for name in (host, f"https://{host}", f"https://{host}/v2/", f"https://{host}/v1/"):
        if isinstance(entry := auths.get(name), dict):
            return _from_entry(entry, file)
    return None


def _part(config: Any, name: str) -> dict[str, Any]:
    found = config.get(name) if isinstance(config, dict) else None
    return found if isinstance(found, dict) else {}


def _from_entry(entry: dict[str, Any], file: Path) -> Credentials | None:
    if isinstance(token := entry.get("identitytoken"), str) and token:
        return Credentials(_TOKEN_USER, token, is_identity=True)
    coded = entry.get("auth")
    if not coded:
        return None
    try:
        user, colon, secret = base64.b64decode(coded, validate=True).decode().partition(":")
    except (TypeError, ValueError, binascii.Error):
        colon = ""
    if not colon:
        raise InputError(
            "has an entry that is not USER:PASSWORD in base64", where=str(file), remedy="docker login"
        )
    return Credentials(user, secret)


def _from_helper(helper: Any, host: str, file: Path) -> Credentials | None:
    """Ask a credential helper: the host on its standard input, never in its arguments; no shell."""
    if not isinstance(helper, str) or not _HELPER.fullmatch(helper):
        raise InputError("names a credential helper that is not a program's name", where=str(file))
    program = shutil.which(f"docker-credential-{helper}")
    if program is None:
        raise InputError(f"docker-credential-{helper} is not on PATH", where=str(file), remedy="install it")
    try:
        done = subprocess.run(  # noqa: S603
            [program, "get"],
            input=host,
            capture_output=True,
            text=True,
            timeout=_HELPER_SECONDS,
            check=False,
        )
        told = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, RecursionError, subprocess.TimeoutExpired) as error:
        raise InputError(f"gave no answer: {type(error).__name__}", where=program) from None
    if done.returncode != 0 and _ABSENT in done.stdout + done.stderr:
        return None
    user, secret = _part({"": told}, "").get("Username"), _part({"": told}, "").get("Secret")
    if not isinstance(user, str) or not isinstance(secret, str):
        raise InputError(f"gave no credentials for {host} (exit code {done.returncode})", where=program)
    return Credentials(user, secret, is_identity=user == _TOKEN_USER)
