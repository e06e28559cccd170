"""A local copy of a release from the bucket, for stacks whose hosts cannot reach the bucket."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from components.aws.caller import Caller, caller
from components.dynamic import Provider, settle_in
from components.errors import CloudError

if TYPE_CHECKING:
    import boto3
    import pulumi

    Properties = dict[str, Any]


class ReleaseCopyProvider(Provider):
    """Copies a release's objects into a folder that is renamed at the end. Servers verify it."""

    def create(self, props: Properties) -> CreateResult:
        """Copy it; nothing while there is none, because the job was not waited for."""
        settle_in()
        return CreateResult(props["release"] or "none", _with_copy(props))

    def diff(self, _id: str, olds: Properties, news: Properties) -> DiffResult:
        """A different release or folder replaces the copy. One that is missing is made again: another machine may
        have updated the stack last."""
        replaces = [name for name in ("release", "folder") if olds.get(name) != news.get(name)]
        missing = bool(olds.get("path")) and not Path(olds["path"]).is_dir()
        changed = bool(replaces) or missing or olds.get("store") != news.get("store")
        return DiffResult(changes=changed, replaces=replaces, delete_before_replace=False)

    def update(self, _id: str, _olds: Properties, news: Properties) -> UpdateResult:
        """Copy it again if it is missing; the same release from another store is the same."""
        settle_in()
        return UpdateResult(_with_copy(news))

    def delete(self, _id: str, props: Properties) -> None:
        """Remove the copy."""
        if props.get("path"):
            shutil.rmtree(props["path"], ignore_errors=True)


class ReleaseCopy(Resource, module="aws", name="ReleaseCopy"):
    """A copy of the release on this machine: a folder at `path`; empty while there is no release."""

    path: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        store: pulumi.Input[str],
        release: pulumi.Input[str],
        folder: str,
        reads: Caller,
        region: str | None,
    ) -> None:
        """Register the copy of `release` in `store` (`s3://…`) below `folder`."""
        properties = {
            "store": store,
            "release": release,
            "folder": folder,
            "caller": reads.told(),
            "region": region,
            "path": None,
        }
        super().__init__(ReleaseCopyProvider(), name, properties)


def _with_copy(props: Properties) -> Properties:
    return {**props, "path": str(_copy(props, Path(props["folder"]))) if props["release"] else ""}


def _copy(props: Properties, folder: Path) -> Path:
    store, release = str(props["store"]), str(props["release"])
    bucket, _, above = store.removeprefix("s3://").partition("/")
    key = release.replace("@sha256:", "/sha256-")
    prefix = f"{above}/releases/{key}/".removeprefix("/")
    final = folder / release.replace("@sha256:", "-")
    if final.is_dir():
        return final
    aside = final.with_name(f"{final.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _fetch(caller(props.get("caller")).session(props.get("region")), bucket, prefix, aside)
    except (BotoCoreError, ClientError, OSError) as error:
        message = f"{store}: cannot copy release {release} to {folder}: {error}"
        raise CloudError(message) from None
    aside.rename(final)
    return final


def _fetch(session: boto3.Session, bucket: str, prefix: str, target: Path) -> None:
    s3 = session.client("s3")
    target.mkdir(parents=True)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for each in page.get("Contents", []):
            name = PurePosixPath(each["Key"].removeprefix(prefix))
            if name.is_absolute() or ".." in name.parts:
                raise CloudError(f"s3://{bucket}/{each['Key']}: not a valid file name in a release")
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, each["Key"], str(target / name))
