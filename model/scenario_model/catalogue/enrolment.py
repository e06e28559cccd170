"""How a site joins: a token, good for one use, tells it whom to believe, and tells the catalogue whom to expect."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from scenario_model.errors import InputError, Refused
from scenario_model.release.names import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scenario_model.release.store import Store

FOLDER = "sites"
ENROLLED = "enrolled"
_PREFIX = "site_"


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a token holds. `root`, `authority`: the catalogue's first root metadata, and the PEM of the CA of its web
    server; `at_least`: the catalogue's version, so that the site cannot be shown an older one."""

    url: str
    site: str
    ring: str
    root: str
    authority: str
    at_least: int
    secret: str

    def token(self) -> str:
        """The token, one line."""
        return _PREFIX + base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()

    @classmethod
    def read(cls, token: str) -> Invitation:
        """Read a token. Raises InputError if it is not one."""
        try:
            told = json.loads(base64.urlsafe_b64decode(token.strip().removeprefix(_PREFIX).encode()))
            return cls(**{name: told[name] for name in cls.__dataclass_fields__})
        except (ValueError, KeyError, TypeError):
            raise InputError(
                "is not a site's token", remedy="`scenario-model catalogue invite` prints one"
            ) from None


@dataclass(frozen=True, slots=True)
class _Last:
    """A site's last entry."""

    number: int
    state: str
    content: bytes


class Enrolments:
    """Which sites are expected, enrolled and revoked: files in the store, each written once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def invite(self, site: str, ring: str, until: float) -> str:
        """Expect a site until a time (seconds since 1970); returns the secret of its token.

        Raises Refused if the site is expected or enrolled already.
        """
        secret = secrets.token_urlsafe(32)
        told = {"ring": check_name(ring, "ring"), "until": until, "sha256": _digest(secret)}
        last = self._last(check_name(site, "site"))
        if last and last.state != "revoked":
            raise Refused(f"{site} has a token or is enrolled already", remedy="revoke it first")
        if not self._write(site, last, "invited", told):
            raise Refused(f"{site} was invited at the same time by somebody else", remedy="revoke it first")
        return secret

    def enrol(self, site: str, secret: str, now: float, key: str = "") -> str:
        """Use up a token; returns the site's ring. Raises Refused if it is wrong, too old, or was used.

        `key`: the digest of the site's own key, for which the token stays good until its end: the answer may have been
        lost on its way, and nobody else has that key.
        """
        check_name(site, "site")
        last = self._last(site)
        told = json.loads(last.content) if last and last.state in {"invited", ENROLLED} else None
        # One message for all of it: who guesses learns nothing.
        refused = Refused(
            f"the token of {site} is not valid", remedy="`scenario-model catalogue invite` prints one"
        )
        if told is None or not hmac.compare_digest(told["sha256"], _digest(secret)) or now > told["until"]:
            raise refused
        if "key" in told:
            if not key or told["key"] != key:
                raise refused
        elif not self._write(site, last, f"{ENROLLED}.{told['ring']}", {**told, "at": now, "key": key}):
            raise refused
        return str(told["ring"])

    def revoke(self, site: str, now: float) -> bool:
        """Let a site in no more; False if it was not expected or enrolled."""
        last = self._last(check_name(site, "site"))
        if last is None or last.state == "revoked":
            return False
        return self._write(site, last, "revoked", {"at": now})

    def revoked(self, site: str) -> bool:
        """Whether a site was revoked and not invited since."""
        last = self._last(site)
        return last is not None and last.state == "revoked"

    def rings(self) -> dict[str, str]:
        """The ring of every enrolled site; one listing of the store, however many there are."""
        last = _last_names(self._store.keys(FOLDER))
        return {site: _ring(name) for site, name in sorted(last.items()) if _state(name) == ENROLLED}

    def state(self, site: str) -> str:
        """Whether a site is `invited`, `enrolled` or `revoked`; empty if it is not known."""
        names = self._store.children(f"{FOLDER}/{site}")
        return _state(names[-1]) if names else ""

    def _last(self, site: str) -> _Last | None:
        folder = f"{FOLDER}/{site}"
        names = self._store.children(folder)
        content = self._store.read(f"{folder}/{names[-1]}") if names else None
        if content is None:
            return None
        return _Last(number=int(names[-1].partition(".")[0]), state=_state(names[-1]), content=content)

    def _write(self, site: str, last: _Last | None, what: str, told: dict[str, object]) -> bool:
        """Write the entry that follows `last`; False if somebody else wrote one with that number and kind.

        The number is that of the entry which was judged: counted again, it would follow whatever was written
        meanwhile, and a token would be good twice. Of a revocation and another entry with one number, the revocation
        counts: its name is the later one.
        """
        number = last.number + 1 if last else 1
        return self._store.create(f"{FOLDER}/{site}/{number:06d}.{what}.json", json.dumps(told).encode())


def states(keys: Iterable[str]) -> dict[str, str]:
    """Return the state of every site, from the keys below `FOLDER`."""
    return {site: _state(name) for site, name in _last_names(keys).items()}


def _last_names(keys: Iterable[str]) -> dict[str, str]:
    entries = (key.split("/") for key in sorted(keys))
    return {parts[0]: parts[1] for parts in entries if len(parts) == 2}


# 000001.invited.json, 000002.enrolled.RING.json, 000003.revoked.json; a ring's name may have dots.
def _state(name: str) -> str:
    return name.split(".")[1] if name.count(".") >= 2 else ""


def _ring(name: str) -> str:
    return ".".join(name.split(".")[2:-1])


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
