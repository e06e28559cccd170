"""`scenario-model catalogue serve`: the web server that sites visit."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, cast

import click

from scenario_model import options
from scenario_model.catalogue import identities
from scenario_model.errors import InputError
from scenario_model.release.stores import open_store
from scenario_model.signing import keys

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

    from scenario_model.catalogue.files import Files
    from scenario_model.release.store import Store

# Not CATALOGUE_: Kubernetes gives a pod CATALOGUE_PORT for a service named catalogue.
_BUCKET_SECONDS = 5.0
_CONTEXT = {"auto_envvar_prefix": "CATALOGUE_SERVE", "show_default": True}


@click.command(context_settings=_CONTEXT)
@options.store
@click.option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", default=9444, help="Port to listen on.")
@click.option(
    "--metrics-port", type=int, help="Port of /metrics, /healthz and /readyz without TLS; default: none."
)
@click.option("--certificate", type=options.FILE, required=True, help="The server's certificate, PEM.")
@click.option("--private-key", type=options.FILE, required=True, help="Its key, PEM.")
@click.option(
    "--sites-key",
    type=options.FILE,
    required=True,
    multiple=True,
    help="The key that signs sites' certificates; made if missing. Repeat it for former ones, which still let in.",
)
@click.option(
    "--wake-keys",
    type=options.FILE,
    help="Hashed keys of the hosted endpoint, JSON: whoever has one may have it started. Default: nobody may.",
)
@click.option("--requests-per-second", default=20.0, help="Of one site, on average.")
@click.option("--downloads", default=64, help="Files of releases that are on their way at once.")
def serve(
    store: str,
    host: str,
    port: int,
    metrics_port: int | None,
    certificate: Path,
    private_key: Path,
    sites_key: tuple[Path, ...],
    wake_keys: Path | None,
    requests_per_second: float,
    downloads: int,
) -> None:
    """Serve a catalogue to sites over HTTPS: static files, enrolment, certificates, reports. Until SIGTERM.

    A site is let in by its certificate, so TLS must end here: a load balancer in front of it has to pass TCP on, and
    may not end TLS. Replicas that are given one bucket and one --sites-key are interchangeable. Files of the server's
    certificate are read again when they change.

    Each option may be given in the environment, such as CATALOGUE_SERVE_STORE.
    """
    # Imported late, so that errors of options appear at once.
    from scenario_model.catalogue.web import CatalogueWeb, SiteAuthority, WebLimits
    from scenario_model.catalogue.web_server import WebTls
    from scenario_model.catalogue.web_server import serve as run
    from scenario_model.catalogue.wishes import Wishes
    from scenario_model.serve import logs
    from scenario_model.serve.settings import load_api_keys

    opened, files, look_up_seconds = opened_store(store)
    authorities = [_authority(path) for path in sites_key]
    pems = [identities.authority(key) for key in authorities]
    tls = WebTls(certificate, private_key, pems)
    limits = WebLimits(
        requests_per_second=requests_per_second, downloads=downloads, look_up_seconds=look_up_seconds
    )
    wishes = Wishes(load_api_keys(wake_keys)) if wake_keys else None
    web = CatalogueWeb(opened, files, SiteAuthority(authorities[0], pems[0]), limits, wishes)
    tls.context()
    logs.configure()
    with contextlib.ExitStack() as sockets:
        sock = sockets.enter_context(_listening(host, port))
        metrics = None if metrics_port is None else sockets.enter_context(_listening(host, metrics_port))
        told = {"host": host, "port": sock.getsockname()[1]}
        told |= {"metrics_port": metrics.getsockname()[1]} if metrics else {}
        click.echo(json.dumps(told))
        logs.info("listening", **told)
        run(web, sock, tls, metrics)
        logs.info("stopped")


def opened_store(store: str) -> tuple[Store, Files, float]:
    """The store, its files, and for how many seconds a list of its sites is good."""
    from scenario_model.catalogue.files import FolderFiles
    from scenario_model.release.store import FolderStore

    opened = open_store(store)
    if isinstance(opened, FolderStore):
        return opened, FolderFiles(opened.root), 0.0
    return opened, cast("Files", opened), _BUCKET_SECONDS


def _authority(path: Path) -> ec.EllipticCurvePrivateKey:
    """A key that signs sites' certificates, made if it is missing; one that is there may be in a read-only folder."""
    if not path.exists():
        keys.create_pair(path, path.with_suffix(".pub"))
    return keys.load_private(path)


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        raise InputError(f"cannot listen there: {error.strerror}", where=f"{host}:{port}") from None
