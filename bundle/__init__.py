"""The offline bundle: all that air-gapped hosts need, in one signed folder, built by `make bundle` near a
registry.

    SHA256SUMS, SHA256SUMS.sig   every file's digest, signed (ECDSA on P-256): for openssl and sha256sum
    requirements/                the locks that hosts install from, and the Python they are for
    wheels/                      every package of requirements/model.lock, uv, and optionally vLLM
    foundation/                  the default foundation model, as its package carries it
    packages/                    haproxy for hosts without it, and the distribution release it is for
    control-node/                the Pulumi engine, and every package of requirements/control.lock, and uv
    hosts/                       packages that roles install on hosts, and the distribution release they are for

Ansible copies it to hosts, which verify it first (`ansible/roles/bundle`); the control node uses its own part
with `make up BUNDLE=…` (`bootstrap/pulumi/bundled.py`).
"""

from __future__ import annotations

from bootstrap import ToolError

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"


class BundleError(ToolError):
    """The bundle cannot be built."""
