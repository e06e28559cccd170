"""Fetches foundation model and data to this host, verified before anything is parsed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scenario_model.cloud import tree as trees
from scenario_model.cloud.bucket import Bucket, is_bucket_uri
from scenario_model.data.settings import Chat, PlainText, PythonReference
from scenario_model.digests import json_digest, tree_digest
from scenario_model.errors import InputError, Refused
from scenario_model.foundation.importer import NOT_COUNTED, read_record
from scenario_model.job.settings import ChatAt, FoundationInBucket
from scenario_model.release.store import check_key
from scenario_model.release.verify import verify_files
from scenario_model.signing.keys import load_public, public_pem
from scenario_model.signing.tree import check_file_name

if TYPE_CHECKING:
    from scenario_model.job.settings import JobSettings


def foundation_here(settings: JobSettings) -> Path:
    """The directory of the foundation model on this host, fetched once per host.

    Raises Refused for one from a bucket that is not signed by the key, or has another digest.
    """
    wanted = settings.foundation
    if not isinstance(wanted, FoundationInBucket):
        return wanted.path
    key = wanted.verification_key and public_pem(load_public(wanted.verification_key)).decode()
    final = settings.scratch / "foundations" / _place([wanted.uri, wanted.digest, key])
    with trees.aside(final) as draft:
        if draft is not None:
            bucket = Bucket(wanted.uri)
            bucket.check()
            trees.bring(bucket, draft, check_file_name)
            if wanted.verification_key:
                verify_files(draft, wanted.verification_key)
            if wanted.digest and tree_digest(draft, leave_out=NOT_COUNTED) != wanted.digest:
                raise Refused(f"is not the model {wanted.digest}", where=wanted.uri)
            read_record(draft)
    return final


def data_here(settings: JobSettings) -> PythonReference | Chat | PlainText:
    """The data settings for `train`, with the data on this host."""
    wanted = settings.data
    if isinstance(wanted, PythonReference):
        return wanted
    path = _here(wanted.path, settings.scratch)
    own = None if wanted.held_out_path is None else _here(wanted.held_out_path, settings.scratch)
    if isinstance(wanted, ChatAt):
        return Chat(path=path, held_out_path=own, held_out=wanted.held_out, date=wanted.date)
    return PlainText(path=path, held_out_path=own, held_out=wanted.held_out)


def _here(place: str, scratch: Path) -> Path:
    return _folder(place, scratch) if is_bucket_uri(place) else Path(place)


def _folder(uri: str, scratch: Path) -> Path:
    bucket = Bucket(uri)
    bucket.check()
    # Data may be added later: the current state gets its own folder.
    final = scratch / "data" / _place([uri, bucket.versions()])
    with trees.aside(final) as draft:
        if draft is not None:
            trees.bring(bucket, draft, _check_data_name)
    return final


def _check_data_name(name: str) -> None:
    try:
        check_key(name)
    except InputError:
        remedy = "use letters, digits, '.', '_', '-' and '/'"
        raise InputError(
            "is not a valid name for a data file", where=ascii(name[:120]), remedy=remedy
        ) from None


def _place(of: object) -> str:
    return json_digest(of).removeprefix("sha256:")[:32]
