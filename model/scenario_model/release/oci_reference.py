"""Names of artifacts in a registry: `oci://HOST[:PORT]/REPOSITORY[:TAG|@sha256:…]`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from scenario_model.errors import InputError

SCHEME = "oci://"
# The grammar of the OCI distribution specification 1.1, "Pulling manifests".
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:]{2,39}\])(?::[0-9]{1,5})?"
)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """One artifact, by tag or by digest, or a repository if both are empty; `str()` gives `oci://…`."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference. Raises InputError."""
        host, _, path = text.removeprefix(SCHEME).partition("/")
        path, _, digest = path.partition("@")
        repository, _, tag = path.partition(":")
        fits = (
            text.startswith(SCHEME)
            and _HOST.fullmatch(host)
            and len(repository) <= _REPOSITORY_CHARACTERS
            and _REPOSITORY.fullmatch(repository)
            and (_TAG.fullmatch(tag) or (not tag and not path.endswith(":")))
            and (is_digest(digest) or (not digest and "@" not in text))
        )
        if not fits:
            raise InputError(
                f"{text[:200]!r} is not a reference to an artifact",
                remedy="write it as oci://HOST/REPOSITORY[:TAG|@sha256:<64 hex digits>]",
            )
        # A digest says more than a tag beside it.
        return cls(host, repository, "" if digest else tag, digest)

    def __str__(self) -> str:
        end = f"@{self.digest}" if self.digest else f":{self.tag}" if self.tag else ""
        return f"{SCHEME}{self.host}/{self.repository}{end}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine."""
        return is_loopback(re.sub(r":[0-9]+$", "", self.host))


def is_digest(text: str) -> bool:
    """Whether `text` is `sha256:<64 hex>`."""
    return _DIGEST.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine, whatever a name server says."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
