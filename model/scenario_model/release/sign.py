"""From a trained and evaluated run to a signed release in a store."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from scenario_model.atomic_io import disk_errors, fresh, write_json
from scenario_model.digests import json_digest, tree_digest
from scenario_model.drift import baseline
from scenario_model.errors import Refused
from scenario_model.evaluate.run import Run, read_evaluation, read_run
from scenario_model.release.names import ReleaseId
from scenario_model.release.verify import MANIFEST, verify_with
from scenario_model.signing import tree
from scenario_model.signing.signature import sign_directory

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.release.store import Store
    from scenario_model.signing.keys import SigningKey


@dataclass(frozen=True, slots=True)
class Signed:
    """The result of signing: the release's name, its gate's verdict, and whether the store changed."""

    release: str
    passed: bool
    changed: bool


def sign_run(directory: Path, name: str, store: Store, key: SigningKey) -> Signed:
    """Create the release `name` from the run in `directory`, store it in `store`, and verify the stored copy.

    The same run, evaluation and package give the same release. Raises InputError for a run that is not
    finished or not evaluated; Refused for weights other than the evaluated ones, or a file not allowed in a
    release.
    """
    run = read_run(directory)
    evaluation = read_evaluation(run)
    if tree_digest(run.model) != evaluation["model"]:
        raise Refused(
            "is not the model that was evaluated",
            where=str(run.model),
            remedy=f"`scenario-model evaluate --run {directory}` again",
        )
    with disk_errors(directory):
        release, changed = _keep(run, name, evaluation, store, key)
    verify_with(store.fetch(release), key.public_key(), expect=release)
    return Signed(release, evaluation["passed"], changed)


def _keep(run: Run, name: str, evaluation: dict[str, Any], store: Store, key: SigningKey) -> tuple[str, bool]:
    # Leftovers of a killed signer are removed. The folder's name is signed too: it is the release's.
    aside = fresh(run.directory / ".release.writing")
    try:
        draft = aside / name
        _link_tree(run.model, draft)
        if (usual := run.directory / baseline.FILE).is_file():
            (draft / baseline.FILE).parent.mkdir()
            (draft / baseline.FILE).hardlink_to(usual)
        write_json(draft / MANIFEST, describe(run, name, evaluation))
        release = str(ReleaseId(name, tree_digest(draft)))
        changed = release.partition("@")[2].replace(":", "-") not in store.children(f"releases/{name}")
        if changed:
            _check_files(draft)
            sign_directory(draft, key)
            store.upload(release, draft)
        return release, changed
    finally:
        shutil.rmtree(aside)


def describe(run: Run, name: str, evaluation: dict[str, Any]) -> dict[str, Any]:
    """The content of `release.json`: the release's provenance and evaluation; fields may be added."""
    return {
        "format": 1,
        "name": name,
        "parent": run.parent,
        "license": run.license,
        "lineage": run.lineage,
        "data": run.data,
        "recipe": {"digest": json_digest(run.recipe), **run.recipe},
        "run": run.digest,
        "evaluation": evaluation,
        # The training's time, not the signing's: signing the same run again must give the same release.
        "created": run.finished,
        "package": {"name": "scenario-model", "version": version("scenario-model"), "digest": run.package},
    }


def _link_tree(source: Path, target: Path) -> None:
    """Hard links for now: the store copies them, so that each of a release's files has a single name."""
    shutil.copytree(source, target, copy_function=os.link, symlinks=True)


def _check_files(draft: Path) -> None:
    for path in sorted(draft.rglob("*")):
        if path.is_file():
            tree.check_file_name(path.relative_to(draft).as_posix())
