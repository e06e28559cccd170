"""`scenario-model credentials`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from scenario_model import logs, options
from scenario_model.serve import credentials

if TYPE_CHECKING:
    from pathlib import Path


@click.command("credentials")
@click.option("--out", "directory", required=True, type=options.FILE, help="Folder for the files.")
@click.option(
    "--host",
    "hosts",
    required=True,
    multiple=True,
    help="DNS name or IP address that clients connect to; may be repeated.",
)
@options.as_json
def command(directory: Path, hosts: tuple[str, ...], as_json: bool) -> None:
    """Create a CA (10 years), a server certificate (1 year) and an API key (256 bit), or keep valid ones.

    The server certificate is renewed if less than 30 days are left or the hosts change. Clients trust ca.pem;
    the server reads server.pem, server.key and api_keys.json (hashes only); api_key contains the key itself,
    for the operator. The key is never printed.
    """
    made = credentials.ensure(directory, hosts)
    files = ("ca.pem", "server.pem", "server.key", "api_key", "api_keys.json")
    if as_json:
        paths = {name.replace(".", "_"): str(directory / name) for name in files}
        expires = made.expires.isoformat()
        click.echo(
            json.dumps({"changed": bool(made.changed), "files": paths, "hosts": hosts, "expires": expires})
        )
    elif made.changed:
        logs.say(f"wrote {', '.join(made.changed)} in {directory}")
    else:
        logs.say(f"nothing to do: the credentials in {directory} are valid")
