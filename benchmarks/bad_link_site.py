"""`python -m benchmarks.bad_link_site SCENE FOLDER`: the site's download, as its agent does it."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.lossy_network import SERVER
from scenario_model.catalogue.documents import ReleaseIndex
from scenario_model.catalogue.download import Download
from scenario_model.catalogue.sources import HttpsSource, Source
from scenario_model.errors import ScenarioModelError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Counted:
    """A source that counts what it hands on."""

    source: Source
    handed_on: int = 0

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """See `Source`."""
        for piece in self.source.read(path, start):
            self.handed_on += len(piece)
            yield piece


def main() -> None:
    scene, to = map(Path, sys.argv[1:])
    index = ReleaseIndex.decoded((scene / "index.json").read_bytes())
    identity = (scene / "here.crt", scene / "here.pem")
    with contextlib.closing(
        HttpsSource(f"https://{SERVER}:9444", scene / "tls" / "ca.pem", identity)
    ) as source:
        counted = Counted(source)
        try:
            arrived = Download(counted, to.parent / "arriving").bring(index)
        except ScenarioModelError as error:
            sys.exit(str(error))
    arrived.rename(to)
    print(json.dumps({"received_bytes": counted.handed_on}))


if __name__ == "__main__":
    main()
