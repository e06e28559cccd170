"""A release in a catalogue as a resource: created with its catalogue, followed by the next release, never removed."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from components.catalogue import model_command
from components.dynamic import Provider, settle_in
from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Properties = dict[str, Any]

_SECONDS = 60
# Not its source: a release is what its digest says, wherever it comes from.
_INPUTS = ("store", "keys", "threshold", "release", "verification_key")


@dataclass(frozen=True, kw_only=True)
class CatalogueKeys:
    """The private keys of a catalogue's roles: each a PEM text, the absolute path of a PEM file, or `kms:ARN`.

    Attributes:
        root: say which keys may sign what.
        threshold: how many of them have to sign.
        releases: says which releases exist.
        online: of the rollout.

    """

    root: Sequence[pulumi.Input[str]]
    threshold: int
    releases: pulumi.Input[str]
    online: pulumi.Input[str]


class PublicationProvider(Provider):
    """Runs `scenario-model rollout publish`, which is repeatable."""

    def create(self, props: Properties) -> CreateResult:
        """Publish it."""
        settle_in()
        return CreateResult("publication", _published(props))

    def diff(self, _id: str, olds: Properties, news: Properties) -> DiffResult:
        """Another store is another catalogue; another release goes into the same."""
        changed = [name for name in _INPUTS if olds.get(name) != news.get(name)]
        return DiffResult(
            changes=bool(changed),
            replaces=[name for name in changed if name == "store"],
            delete_before_replace=False,
        )

    def update(self, _id: str, _olds: Properties, news: Properties) -> UpdateResult:
        """Publish what it is now."""
        settle_in()
        return UpdateResult(_published(news))


class Publication(Resource, module="catalogue", name="Publication"):
    """A release that is being rolled out.

    `root` is the catalogue's first root metadata, which sites pin; `published` is the release, as an output. When it is
    removed, store, catalogue and signed history stay.
    """

    root: pulumi.Output[str]
    published: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        store: pulumi.Input[str],
        keys: CatalogueKeys,
        release: pulumi.Input[str],
        source: pulumi.Input[str],
        verification_key: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the publication of `release` from `source`, a folder, a tar archive, or the URL of one."""
        given: Mapping[str, Any] = {"root": list(keys.root), "releases": keys.releases, "online": keys.online}
        properties = {
            "store": store,
            "keys": pulumi.Output.secret(given),
            "threshold": keys.threshold,
            "release": release,
            "source": source,
            "verification_key": verification_key,
            "root": None,
            "published": None,
        }
        super().__init__(PublicationProvider(), name, properties, opts)


def _published(props: Properties) -> Properties:
    files: dict[str, str] = {"verification.pem": props["verification_key"]}

    def arguments(folder: Path) -> Sequence[str]:
        source = _local(props["source"], folder)
        (folder / "publish.json").write_text(json.dumps(_settings(props, folder, source)), encoding="utf-8")
        return ["rollout", "publish", "--config", str(folder / "publish.json")]

    files |= {
        name: key for name, key in _keys(props["keys"]).items() if key.lstrip().startswith("-----BEGIN")
    }
    done = model_command.run(arguments, files)
    return {**props, "root": done["root"], "published": props["release"]}


def _settings(props: Properties, folder: Path, source: str) -> Properties:
    """Return the configuration of the command, whose keys are files."""
    where = {
        name: str(folder / name) if key.lstrip().startswith("-----BEGIN") else key
        for name, key in _keys(props["keys"]).items()
    }
    roots = [path for name, path in where.items() if name.startswith("root-")]
    return {
        "store": props["store"],
        "keys": {
            "root": roots,
            "threshold": int(props["threshold"]),
            "releases": where["releases"],
            "online": where["online"],
        },
        "release": props["release"],
        "source": source,
        "verification_key": str(folder / "verification.pem"),
    }


def _keys(keys: Properties) -> dict[str, str]:
    named = {f"root-{number}": key for number, key in enumerate(keys["root"])}
    return {**named, "releases": keys["releases"], "online": keys["online"]}


def _local(source: str, folder: Path) -> str:
    """Return the path of the release on this machine; an archive elsewhere is downloaded. It is verified later."""
    if not source.startswith(("http://", "https://")):
        return source
    path = folder / "release.tar"
    try:
        with (
            urllib.request.urlopen(source, timeout=_SECONDS) as answer,  # noqa: S310 http or https
            path.open("wb") as file,
        ):
            shutil.copyfileobj(answer, file)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise CloudError(f"{source}: cannot be downloaded: {reason}; check release.url") from None
    return str(path)
