"""`scenario-model catalogue`: the keepers' side, and a look from a site's."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scenario_model import options
from scenario_model.catalogue.carry_command import carry
from scenario_model.catalogue.documents import Assignment, ring_target, site_target
from scenario_model.catalogue.indexing import index_of
from scenario_model.catalogue.keeper import Keeper
from scenario_model.catalogue.lifetimes import Lifetimes
from scenario_model.catalogue.serve_command import serve
from scenario_model.catalogue.signers import public_keys, signer
from scenario_model.catalogue.site_commands import COMMANDS
from scenario_model.catalogue.sources import FolderSource, HttpsSource, Source
from scenario_model.catalogue.visitor import LONGEST, Visitor
from scenario_model.errors import Refused
from scenario_model.release.stores import open_store
from scenario_model.release.verify import verify_with
from scenario_model.signing import keys

if TYPE_CHECKING:
    from typing import Any

_LONGEST_CARRIED = timedelta(days=3650)
_root_key = click.option(
    "--root-key",
    "root_keys",
    multiple=True,
    required=True,
    metavar="FILE|kms:ARN",
    help="A root key; repeat it.",
)
_threshold = click.option(
    "--threshold", default=2, show_default=True, help="How many root keys have to sign."
)
_release_key = click.option(
    "--release-key", required=True, metavar="FILE|kms:ARN", help="The private key that signs releases."
)


@click.group()
def command() -> None:
    """Hand releases to sites: a TUF repository (theupdateframework.io) of static files in a store of releases.

    Root keys, kept offline, say which keys may sign what. The release key, offline as well, lists releases. The
    online key says which ring or site shall serve which of them, and signs every day that nothing newer is withheld.
    """


@command.command()
@options.store
@_root_key
@_threshold
@click.option(
    "--release-public-key", type=options.FILE, required=True, help="Of the key that signs releases, PEM."
)
@click.option("--online-public-key", type=options.FILE, required=True, help="Of the rollout's key, PEM.")
@options.as_json
def create(
    store: str,
    root_keys: tuple[str, ...],
    threshold: int,
    release_public_key: Path,
    online_public_key: Path,
    as_json: bool,
) -> None:
    """Create the catalogue. `--root-key` three times is usual; only `--threshold` of them need to sign a change."""
    Keeper(open_store(store)).create(
        [signer(key) for key in root_keys],
        threshold,
        public_keys((release_public_key,)),
        public_keys((online_public_key,)),
    )
    _say(as_json, "created; list a release next", created=True)


@command.command(name="list")
@click.argument("release", metavar="NAME@sha256:…")
@options.store
@_release_key
@options.as_json
def list_(release: str, store: str, release_key: str, as_json: bool) -> None:
    """Add a release of the store to the catalogue, after verifying it and its gate. Visible after `refresh`."""
    opened, key = open_store(store), signer(release_key)
    keeper, directory = Keeper(opened), opened.fetch(release)
    verified = verify_with(directory, keys.signing_key(release_key).public_key(), expect=release)
    index = index_of(verified, keeper.next_number(verified.name))
    changed = keeper.list_release(index, key)
    _say(as_json, f"{release} is listed{'' if changed else ' (unchanged)'}", release=release, changed=changed)


@command.command()
@click.argument("release", metavar="NAME@sha256:…")
@options.store
@_release_key
@options.as_json
def withdraw(release: str, store: str, release_key: str, as_json: bool) -> None:
    """Remove a release: no site takes it any more; those that serve it go on until they are assigned another."""
    changed = Keeper(open_store(store)).withdraw(release, signer(release_key))
    _say(
        as_json,
        f"{release} is not listed{'' if changed else ' (unchanged)'}",
        release=release,
        changed=changed,
    )


@command.command()
@click.argument("release", metavar="NAME@sha256:…")
@click.option("--ring", help="The ring that shall serve it.")
@click.option("--site", help="The one site that shall serve it, whatever its ring does.")
@click.option("--floor", default=0, show_default=True, help="Number of the oldest release that may be taken.")
@options.store
@options.online_key
@options.as_json
def assign(
    release: str, ring: str | None, site: str | None, floor: int, store: str, online_key: str, as_json: bool
) -> None:
    """Let a ring, or one site, serve a listed release, and make it visible."""
    if (ring is None) == (site is None):
        raise click.UsageError("give either --ring or --site")
    name = ring or site or ""
    path = ring_target(name) if ring else site_target(name)
    keeper, key = Keeper(open_store(store)), signer(online_key)
    changed = keeper.assign(path, Assignment(name, release, floor), key)
    keeper.refresh(key)
    _say(as_json, f"{name} -> {release}", name=name, release=release, floor=floor, changed=changed)


@command.command()
@options.store
@options.online_key
@options.as_json
def refresh(store: str, online_key: str, as_json: bool) -> None:
    """Sign again what ages, and make visible what was listed. For a timer: at least twice a day."""
    changed = Keeper(open_store(store)).refresh(signer(online_key))
    _say(as_json, "refreshed" if changed else "nothing to do", changed=changed)


@command.command()
@options.store
@click.option(
    "--former-root-key",
    "former",
    multiple=True,
    required=True,
    metavar="FILE|kms:ARN",
    help="As many as have to sign.",
)
@_root_key
@_threshold
@_release_key
@options.online_key
@options.as_json
def rotate(
    store: str,
    former: tuple[str, ...],
    root_keys: tuple[str, ...],
    threshold: int,
    release_key: str,
    online_key: str,
    as_json: bool,
) -> None:
    """Replace keys, all or some: give those that shall count from now on. Sites follow without a visit."""
    Keeper(open_store(store)).rotate(
        [signer(key) for key in former],
        [signer(key) for key in root_keys],
        threshold,
        signer(release_key),
        signer(online_key),
    )
    _say(as_json, "rotated", changed=True)


@command.command()
@click.argument("where", metavar="FOLDER|https://…")
@click.option(
    "--root", type=options.FILE, required=True, help="The catalogue's first root, from a trusted place."
)
@click.option("--authority", type=options.FILE, help="PEM of the CA of a web server; default: the system's.")
@click.option("--site", default="", help="Show what this site shall serve …")
@click.option("--ring", default="", help="… in this ring.")
@click.option("--check", is_flag=True, help="Exit with 1 if less than half of the timestamp's life is left.")
@options.as_json
def show(
    where: str, root: Path, authority: Path | None, site: str, ring: str, check: bool, as_json: bool
) -> None:
    """Visit a catalogue as a site does, and show what it says, or why it is not believed."""
    source: Source = HttpsSource(where, authority) if "://" in where else FolderSource(Path(where))
    with tempfile.TemporaryDirectory() as folder:
        longest = _LONGEST_CARRIED if isinstance(source, FolderSource) else LONGEST
        visitor = Visitor(Path(folder), source, root.read_bytes(), longest=longest)
        visitor.visit()
        told: dict[str, Any] = {"version": visitor.version, "expires": visitor.expires.isoformat()}
        if site or ring:
            assigned = visitor.assignment(site or "-", ring or "-")
            told["release"] = assigned.release if assigned else None
        left = visitor.expires - datetime.now(UTC)
    _say(as_json, "\n".join(f"{name}: {value}" for name, value in told.items()), **told)
    half = timedelta(days=Lifetimes().timestamp / 2)
    if check and left < half:
        hours = left.total_seconds() / 3600
        raise Refused(
            f"the timestamp is good for {hours:.1f} h only",
            where=where,
            remedy="run `scenario-model catalogue refresh`, and see why its timer does not",
        )


for _each in (*COMMANDS, serve, carry):
    command.add_command(_each)


def _say(as_json: bool, text: str, **fields: Any) -> None:
    click.echo(json.dumps(fields) if as_json else text)
