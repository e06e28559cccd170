"""Makes the index of a release that was verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_model.catalogue.documents import File, ReleaseIndex
from scenario_model.digests import file_digest
from scenario_model.errors import Refused

if TYPE_CHECKING:
    from scenario_model.release.verify import VerifiedRelease


def index_of(release: VerifiedRelease, number: int) -> ReleaseIndex:
    """List a release's files. Raises Refused if it did not pass its gate, or was changed since it was verified."""
    evaluation = release.manifest.get("evaluation")
    if not isinstance(evaluation, dict) or evaluation.get("passed") is not True:
        raise Refused(
            f"{release.id} did not pass its evaluation gate", remedy="it stays in the store for inspection"
        )
    files = {
        path: File(state.size, file_digest(release.directory / path).removeprefix("sha256:"))
        for path, state in release.states.items()
    }
    release.check_unchanged()
    return ReleaseIndex(release.id, number, files)
