"""`python3 -m lab.load model`: load an image into the lab's cluster, which has no registry."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bootstrap.console import run, say
from lab import LabError, state_folder
from lab.images import image, reference
from lab.kubernetes.lifecycle import running
from lab.machine import require


def load(what: str) -> None:
    """Import an existing archive, or build the image of this name and import it."""
    own = running(state_folder()).own
    if own is None:
        raise LabError(
            "this cluster was given to the lab", remedy="load the image with that cluster's own tool"
        )
    archive = Path(what)
    if archive.is_file():
        own.load(archive.resolve())
        say(f"{archive} is in the cluster")
        return
    own.load(image(what))
    say(f"{reference(what)} is in the cluster")


def main() -> None:
    """`python3 -m lab.load IMAGE`."""
    parser = argparse.ArgumentParser(prog="python3 -m lab.load", description=__doc__)
    parser.add_argument(
        "image", help="`model`, the model package; or an archive of `docker save`, `podman save`, `buildah`"
    )
    try:
        require()
        load(parser.parse_args().image)
    except LabError as error:
        sys.exit(f"lab.load: {error}")
    except KeyboardInterrupt:
        sys.exit("lab.load: interrupted; run it again")


if __name__ == "__main__":
    run(main)
