"""Options that many commands have in common."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path)
store = click.option(
    "--store",
    required=True,
    metavar="FOLDER|s3://BUCKET/PREFIX",
    help="The store: releases, their channels and, for sites, their catalogue.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
online_key = click.option(
    "--online-key", required=True, metavar="FILE|kms:ARN", help="The private key of the rollout, online."
)
