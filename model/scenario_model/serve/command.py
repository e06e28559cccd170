"""`scenario-model serve`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from scenario_model import config, options
from scenario_model.describe import with_settings
from scenario_model.serve import logs
from scenario_model.serve.settings import ServeSettings, load_api_keys

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.release.verify import VerifiedRelease


@click.command("serve")
@click.option("--config", "path", required=True, type=options.FILE, help="JSON file; see below.")
@click.option("--check", "only_check", is_flag=True, help="Validate the settings and exit.")
@click.option("--json", "as_json", is_flag=True, help="When ready, print one JSON object on standard output.")
@with_settings(ServeSettings)
def command(path: Path, only_check: bool, as_json: bool) -> None:
    """Serve a channel's release over HTTPS, with the OpenAI API.

    The release is verified before a byte of it is parsed. /healthz and /readyz answer without an API key.
    Exits with 0 after SIGTERM or SIGINT; a second signal ends it at once.
    """
    settings = config.load_file(ServeSettings, path)
    if only_check:
        click.echo("{}" if as_json else f"{path}: no problem found")
        return
    api_keys = load_api_keys(settings.api_keys)
    # Imported late, so that configuration errors appear at once.
    from scenario_model.serve import kept_socket
    from scenario_model.serve.lifecycle import end, run
    from scenario_model.serve.listener import bind, tls_context

    context = tls_context(settings.tls)
    handed_over = kept_socket.is_handed_over()
    sock = bind(settings.host, settings.port)
    logs.configure()
    release = _verified(settings)
    port = sock.getsockname()[1]

    def announce(seconds: float) -> None:
        if as_json:
            ready = {"release": release.id, "host": settings.host, "port": port, "seconds": round(seconds, 1)}
            click.echo(json.dumps(ready))

    logs.info("listening", host=settings.host, port=port)
    kept = kept_socket.keep(sock)
    waits = kept or handed_over
    next_socket = run(settings, api_keys, release, sock, context, announce, kept=kept, waits=waits)
    if next_socket and not kept:
        kept_socket.begin_anew(next_socket)
    # Everything is done, and torch's teardown may take seconds: longer than a supervisor waits.
    end(0)


def _verified(settings: ServeSettings) -> VerifiedRelease:
    from scenario_model.release import channel
    from scenario_model.release.stores import open_store
    from scenario_model.release.verify import verify_release
    from scenario_model.serve.following import followed

    store = open_store(settings.store)
    key = settings.verification_key
    told = followed(settings.follow) if settings.follow else None
    wanted = settings.release or told or channel.current(store, settings.name, settings.channel, key)
    logs.info("verifying", release=wanted, store=settings.store)
    return verify_release(store.fetch(wanted), key, expect=wanted)
