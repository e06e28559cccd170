"""Print the folder that holds the Pulumi engine: from PATH, the cache, a bundle, a release, or a build.

`python3 -m bootstrap.pulumi [--kubernetes HOME]`: with the option, the Kubernetes plugin is installed below
HOME too.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bootstrap import BootstrapError
from bootstrap.cache import exclusive
from bootstrap.console import run, say
from bootstrap.pulumi import PROGRAMS, VERSION
from bootstrap.pulumi.build import build
from bootstrap.pulumi.bundled import take
from bootstrap.pulumi.download import download
from bootstrap.pulumi.installed import intact, on_path
from bootstrap.pulumi.kept import kept, pulumi_cache
from bootstrap.pulumi.plugins import install_kubernetes

_MAKERS = {"bundle": take, "download": download, "build": build}


def find_engine(source: str = "") -> Path:
    """Return the folder of the engine, creating it if needed.

    `source` limits the choice to "path", "bundle", "download" or "build"; empty tries all of them in that
    order, with the cache after PATH; if `BUNDLE` is set, nothing after the bundle. Raises BootstrapError
    naming the remedy.
    """
    if source not in {"", "path", *_MAKERS}:
        raise BootstrapError(
            f"unknown ENGINE_SOURCE={source}", remedy=f"use path, {', '.join(_MAKERS)}, or leave it empty"
        )
    if source in {"", "path"} and (found := on_path()):
        say(f"engine: {found / 'pulumi'}, found on PATH")
        return found
    if source == "path":
        raise BootstrapError(
            f"no pulumi {VERSION} or newer on PATH", remedy="install it, or leave ENGINE_SOURCE empty"
        )
    return kept_engine(source)


def kept_engine(source: str = "") -> Path:
    """Return the folder of the engine in the cache, of release `VERSION`.

    Raises BootstrapError naming the remedy.
    """
    makers = [source] if source else list(_MAKERS)
    with exclusive(pulumi_cache() / "lock", "preparing the engine"):
        if found := _from_cache(makers):
            return found
        if not source:  # a machine with a bundle has no internet access, and uses nothing else
            makers = ["bundle"] if os.environ.get("BUNDLE") else ["download", "build"]
        return _made(makers)


def _from_cache(makers: list[str]) -> Path | None:
    for maker in makers:
        folder = kept(maker)
        if folder.is_dir():
            if intact(folder):
                say(f"engine: Pulumi {VERSION} from the cache, {folder} ({maker})")
                return folder
            say(f"engine: {folder} is damaged; rebuilding it")
    return None


def _made(makers: list[str]) -> Path:
    for maker in makers:
        try:
            folder = _MAKERS[maker]()
        except BootstrapError as error:
            if maker == makers[-1]:
                raise
            say(f"engine: no {maker}: {error}")
            continue
        if not intact(folder):
            raise BootstrapError(
                f"{folder / PROGRAMS[0]} does not run here", remedy="run `pulumi version` to see why"
            )
        say(f"engine: Pulumi {VERSION} in {folder} ({maker})")
        return folder
    raise AssertionError("unreachable: the last maker returns or raises")


def main() -> None:
    """Print the folder on standard output; all else goes to standard error."""
    parser = argparse.ArgumentParser(
        prog="bootstrap.pulumi", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kubernetes", type=Path, metavar="HOME", help="PULUMI_HOME for the Kubernetes plugin"
    )
    home, source = parser.parse_args().kubernetes, os.environ.get("ENGINE_SOURCE", "")
    try:
        engine = find_engine(source)
        if home:
            install_kubernetes(home.resolve(), engine, source)
        print(engine)
    except BootstrapError as error:
        sys.exit(f"engine: {error}")
    except KeyboardInterrupt:
        sys.exit("engine: interrupted; the next run resumes from here")


if __name__ == "__main__":
    run(main)
