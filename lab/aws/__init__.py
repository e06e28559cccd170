"""The lab's AWS: a moto server, and a stand-in for Pulumi's AWS provider plugin where the real one is not.

`lifecycle` and `plugin` need the standard library alone, as `make lab` does; what they start needs packages.
"""

from __future__ import annotations

REGION = "eu-central-1"
"""Where the lab's resources are, unless a program says otherwise."""

ACCOUNT = "123456789012"
"""The account that moto takes every caller for, unless the key was issued by its own IAM or STS."""

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab"}
"""No secret: moto checks no signature. They are set so that a user's real ones never get here."""
