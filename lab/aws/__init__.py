"""The lab's AWS: a moto server, and a stand-in for Pulumi's AWS provider plugin if the real one is not installed.

`lifecycle` and `plugin` use the standard library only, as `make lab` does; the programs they start need
packages.
"""

from __future__ import annotations

REGION = "eu-central-1"
"""Default region of the lab's resources."""

ACCOUNT = "123456789012"
"""The account moto assigns to every caller, unless the key was issued by its own IAM or STS."""

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab"}
"""Not secret: moto does not check signatures. Set so that a user's real credentials are never used."""
