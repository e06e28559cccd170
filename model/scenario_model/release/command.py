"""`scenario-model release`: key, sign, verify, list, promote, rollback, push, pull."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from scenario_model import options
from scenario_model.release import channel as channels
from scenario_model.release import listing
from scenario_model.release.names import ReleaseId, check_name
from scenario_model.release.sign import sign_run
from scenario_model.release.stores import open_store
from scenario_model.release.verify import verify_release
from scenario_model.signing import keys

_private = click.option(
    "--key", required=True, metavar="FILE|kms:ARN", help="The private signing key: a PEM file, or in AWS KMS."
)
_authority = click.option(
    "--authority", type=options.FILE, metavar="FILE", help="PEM of the registry's CA; default: the system's."
)
_plain_http = click.option("--plain-http", is_flag=True, help="Without TLS; for a registry on this machine.")
_channel = click.option("--channel", default="stable", show_default=True, help="The channel's name.")
_name = click.option("--name", default="assistant", show_default=True, help="The release's name.")


@click.group()
def command() -> None:
    """Sign, verify, list, promote and roll back releases; push them to a registry, and pull them.

    A store is a folder, or a bucket: s3://BUCKET/PREFIX, in the region AWS_REGION, with the credentials that
    boto3 finds. Releases fetched from a bucket are cached in $XDG_CACHE_HOME/scenario-model/releases (default
    ~/.cache). Exit codes: 0 done; 1 refused, the reason named; 2 bad usage or input; 75 the bucket is
    unreachable (after 5 attempts): try again.
    """


@command.command()
@click.option(
    "--private",
    required=True,
    metavar="FILE|kms:ARN",
    help="Private key file to read or create (mode 0600); a key in AWS KMS must exist.",
)
@click.option("--public", type=options.FILE, required=True, help="Public key file to read or create.")
@options.as_json
def key(private: str, public: Path, as_json: bool) -> None:
    """Create an ECDSA P-256 key pair, if it does not exist; for a key in KMS, write the public half."""
    if private.startswith(keys.KMS):
        changed = keys.write_public(keys.signing_key(private), public)
    else:
        changed = keys.create_pair(Path(private), public)
    fingerprint = keys.fingerprint(keys.load_public(public))
    _say(as_json, f"key sha256:{fingerprint}", changed, fingerprint=f"sha256:{fingerprint}")


@command.command()
@click.argument("run", type=options.FILE)
@_name
@options.store
@_private
@options.as_json
def sign(run: Path, name: str, store: str, key: str, as_json: bool) -> None:
    """Create a signed release of the evaluated training run in the directory RUN and put it in the store.

    A run that failed its gate is stored too, for inspection; `promote` refuses it.
    """
    signed = sign_run(run, check_name(name, "release"), open_store(store), keys.signing_key(key))
    verdict = "gate passed" if signed.passed else "gate failed: stored for inspection, cannot be promoted"
    _say(
        as_json, f"{signed.release} ({verdict})", signed.changed, release=signed.release, passed=signed.passed
    )


@command.command()
@click.argument("directory", type=options.FILE)
@click.option("--key", type=options.FILE, required=True, help="The public verification key (PEM).")
@click.option("--expect", metavar="NAME@sha256:…", help="Refuse any release other than this.")
@options.as_json
def verify(directory: Path, key: Path, expect: str | None, as_json: bool) -> None:
    """Verify that DIRECTORY is a release, unchanged and signed by this key, before a byte of it is parsed."""
    release = verify_release(directory, key, expect)
    _print(as_json, f"{release.id} verified", {"release": release.id, "manifest": release.manifest})


@command.command(name="list")
@options.store
@click.option("--name", help="Only releases of this name.")
@click.option("--channel", help="Only this channel.")
@click.option("--key", type=options.FILE, help="The public key (PEM), to check signatures too.")
@options.as_json
def list_(store: str, name: str | None, channel: str | None, key: Path | None, as_json: bool) -> None:
    """Show releases with their gates' verdicts, and channels with who moved them and when."""
    public = keys.load_public(key) if key else None
    if name is not None:
        check_name(name, "release")
    if channel is not None:
        check_name(channel, "channel")
    found = listing.listing(open_store(store), public, name=name, channel=channel)
    _print(as_json, listing.table(found), found)


@command.command()
@click.argument("release", metavar="NAME@sha256:…")
@_channel
@options.store
@_private
@click.option(
    "--expect", metavar="NAME@sha256:…|none", help="Refuse if the channel does not point at this release."
)
@options.as_json
def promote(release: str, channel: str, store: str, key: str, expect: str | None, as_json: bool) -> None:
    """Point the channel at a release that verifies and has passed its gate."""
    if expect not in (None, channels.NOTHING):
        ReleaseId.parse(expect)
    moved = channels.stamp()
    changed = channels.promote(
        open_store(store),
        release,
        channel,
        keys.signing_key(key),
        at=moved["at"],
        by=moved["by"],
        expect=expect,
    )
    _say(as_json, f"{channel} -> {release}", changed, channel=channel, release=release)


@command.command()
@_name
@_channel
@options.store
@_private
@options.as_json
def rollback(name: str, channel: str, store: str, key: str, as_json: bool) -> None:
    """Point the channel back at the release before the current one."""
    moved = channels.stamp()
    release = channels.rollback(
        open_store(store), name, channel, keys.signing_key(key), at=moved["at"], by=moved["by"]
    )
    _say(as_json, f"{channel} -> {release}", True, channel=channel, release=release)


@command.command()
@click.argument("release", metavar="NAME@sha256:…")
@click.argument("reference", metavar="oci://HOST/REPOSITORY[:TAG]")
@options.store
@_authority
@_plain_http
@options.as_json
def push(
    release: str, reference: str, store: str, authority: Path | None, plain_http: bool, as_json: bool
) -> None:
    """Push a release to an OCI registry, as a ModelPack artifact with its signature.

    Default tag: the release's name and the first 12 digits of its digest. Credentials are those of `docker login`:
    $DOCKER_CONFIG/config.json (default ~/.docker) and credential helpers. What the registry has is not sent again.
    """
    from scenario_model.release import oci
    from scenario_model.release.oci_reference import Reference
    from scenario_model.release.oci_registry import Registry

    where = Reference.parse(reference)
    with closing(Registry(where, authority, plain_http=plain_http)) as registry:
        done = oci.push(registry, open_store(store), release, where)
    _say(
        as_json,
        f"{done.reference} (tag {done.tagged.tag})",
        done.changed,
        release=release,
        reference=str(done.reference),
        tag=done.tagged.tag,
        sent_bytes=done.sent,
    )


@command.command()
@click.argument("reference", metavar="oci://HOST/REPOSITORY:TAG|@sha256:…")
@click.option("--to", type=options.FILE, metavar="FOLDER", help="Make this folder the release.")
@click.option("--store", metavar="FOLDER|s3://BUCKET/PREFIX", help="Put the release into this store.")
@click.option("--verification-key", type=options.FILE, required=True, help="The public key of releases, PEM.")
@_authority
@_plain_http
@options.as_json
def pull(
    reference: str,
    to: Path | None,
    store: str | None,
    verification_key: Path,
    authority: Path | None,
    plain_http: bool,
    as_json: bool,
) -> None:
    """Pull a release from an OCI registry into a folder or a store, if this key signed it.

    The signature is checked before anything else is downloaded, and every file once it has arrived. Run again after
    a failure, it continues where it stopped. Credentials as for `push`.
    """
    from scenario_model.release import oci
    from scenario_model.release.oci_reference import Reference
    from scenario_model.release.oci_registry import Registry

    if (to is None) == (store is None):
        raise click.UsageError("use either --to or --store")
    where, key = Reference.parse(reference), keys.load_public(verification_key)
    with closing(Registry(where, authority, plain_http=plain_http)) as registry:
        if to is not None:
            done = oci.pull_to_folder(registry, where, key, to)
        else:
            done = oci.pull_to_store(registry, where, key, open_store(str(store)), oci.default_cache())
    _say(
        as_json,
        f"{done.release} verified: {to or store}",
        done.changed,
        release=done.release,
        reference=str(done.reference),
        received_bytes=done.received,
    )


def _say(as_json: bool, text: str, changed: bool, **fields: Any) -> None:
    _print(as_json, text if changed else f"{text} (unchanged)", {**fields, "changed": changed})


def _print(as_json: bool, text: str, fields: dict[str, Any]) -> None:
    click.echo(json.dumps(fields, ensure_ascii=False) if as_json else text)
