"""The plugin for Kubernetes: Pulumi's own download first, else ours, linked below PULUMI_HOME."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bootstrap import BootstrapError
from bootstrap.pulumi.plugins import KUBERNETES, install_kubernetes

ROOT = Path(__file__).parents[3]
NAME = "pulumi-resource-kubernetes"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def an_engine(folder: Path, *, answer: str) -> Path:
    """A `pulumi` that answers `plugin install resource kubernetes VERSION`, and nothing else."""
    folder.mkdir()
    (folder / "pulumi").write_text(
        f'#!/bin/sh\n[ "$*" = "plugin install resource kubernetes {KUBERNETES}" ] || exit 9\n{answer}\n'
    )
    (folder / "pulumi").chmod(0o755)
    return folder


@pytest.fixture
def offline(tmp_path: Path) -> Path:
    return an_engine(tmp_path / "offline", answer="echo 'error: no such host' >&2; exit 1")


def test_what_pulumi_fetches_itself_is_taken(home: Path, tmp_path: Path, cache: Path) -> None:
    folder = f"$PULUMI_HOME/plugins/resource-kubernetes-v{KUBERNETES}"
    engine = an_engine(tmp_path / "online", answer=f"mkdir -p {folder} && echo fetched > {folder}/{NAME}")
    assert install_kubernetes(home, engine).read_text() == "fetched\n"
    assert not (cache.parent / f"kubernetes-{KUBERNETES}").exists()


def test_one_that_was_built_before_is_linked_where_pulumi_looks(
    home: Path, offline: Path, cache: Path
) -> None:
    built = cache.parent / f"kubernetes-{KUBERNETES}" / NAME
    built.parent.mkdir(parents=True)
    built.write_text("built")
    found = install_kubernetes(home, offline)
    assert found == home / "plugins" / f"resource-kubernetes-v{KUBERNETES}" / NAME
    assert found.read_text() == "built"
    assert install_kubernetes(home, offline) == found


def test_a_link_into_a_cache_that_was_cleared_is_made_anew(home: Path, offline: Path, cache: Path) -> None:
    link = home / "plugins" / f"resource-kubernetes-v{KUBERNETES}" / NAME
    link.parent.mkdir(parents=True)
    link.symlink_to("/nowhere")
    built = cache.parent / f"kubernetes-{KUBERNETES}" / NAME
    built.parent.mkdir(parents=True)
    built.write_text("built")
    assert install_kubernetes(home, offline).read_text() == "built"


def test_where_only_a_download_is_wanted_the_remedy_is_named(home: Path, offline: Path) -> None:
    with pytest.raises(BootstrapError, match="cannot be downloaded; set ENGINE_SOURCE=build"):
        install_kubernetes(home, offline, "download")


def test_its_module_is_pinned_though_the_checksum_database_may_not_know_it() -> None:
    folder = ROOT / "bootstrap" / "pulumi" / "go" / "kubernetes"
    (release,) = re.findall(r"^require (\S+ \S+)$", (folder / "go.mod").read_text(), re.MULTILINE)
    sums = (folder / "go.sum").read_text()
    assert f"{release} h1:" in sums
    assert f"{release}/go.mod h1:" in sums
    assert KUBERNETES in (folder / "go.mod").read_text()
