"""Selects Pulumi's AWS provider plugin: the real one if installed, else the stand-in."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

from lab.aws import CREDENTIALS, REGION
from lab.aws.environment import ROOT

NAME = "pulumi-resource-aws"
SERVICES = (
    *("ec2", "eks", "iam", "kms", "s3", "ecr", "sts", "cloudwatchlogs", "budgets"),
    *("autoscaling", "elbv2", "cloudwatch", "sqs", "sns", "ssm", "secretsmanager", "dynamodb"),
)
"""Services whose endpoints are set to the lab, by Terraform's names."""


def real_plugin(version: str = "", path: str | None = None) -> Path | None:
    """Return the real plugin's program, from PULUMI_HOME's plugins or PATH; None if not installed.

    `version` limits it to one release, such as `7.51.1`; `path` is searched instead of PATH.
    """
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    for folder in sorted(home.glob(f"plugins/resource-aws-v{version or '*'}"), reverse=True):
        if (folder / NAME).exists() and not folder.with_suffix(".partial").exists():
            return folder / NAME
    found = shutil.which(NAME, path=path)
    return Path(found) if found and not _is_stand_in(Path(found)) else None


def _is_stand_in(program: Path) -> bool:
    return b"lab.aws.stand_in" in program.read_bytes()[:4096]


def stand_in(folder: Path) -> Path | None:
    """Return the folder to put on PATH, below `folder`; None if the real plugin is installed."""
    return None if real_plugin() else write_stand_in(folder)


def write_stand_in(folder: Path) -> Path:
    """Create the stand-in's program below `folder` if missing; return its folder.

    The Python first on PATH runs it, as it does the Pulumi program: both need the same packages.
    """
    programs = folder / "aws" / "bin"
    program = programs / NAME
    if program.exists():  # created by root, for a user without write access
        return programs
    programs.mkdir(parents=True)
    program.write_text(
        "#!/bin/sh\n"
        f"# The lab's stand-in for Pulumi's AWS provider plugin, from {ROOT}\n"
        f"export PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}\n"
        'exec python3 -m lab.aws.stand_in "$@"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    return programs


def provider_arguments(endpoint: str, region: str = REGION) -> dict[str, Any]:
    """Return provider settings (real or stand-in) for the lab; names as on the wire."""
    return {
        "region": region,
        "accessKey": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "secretKey": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        "endpoints": [dict.fromkeys(SERVICES, endpoint)],
        "skipCredentialsValidation": True,
        "skipMetadataApiCheck": True,
        "skipRegionValidation": True,
        "s3UsePathStyle": True,
    }


def stack_configuration(endpoint: str, region: str = REGION) -> dict[str, str]:
    """Return the same as values of a stack's file, `aws:region` and so on, for the default provider."""
    return {
        f"aws:{name}": value if isinstance(value, str) else json.dumps(value)
        for name, value in provider_arguments(endpoint, region).items()
    }
