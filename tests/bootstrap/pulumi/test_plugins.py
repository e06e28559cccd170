"""The plugin for Kubernetes: Pulumi's own download first, else ours, linked below PULUMI_HOME; the one for AWS."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

from bootstrap import BootstrapError
from bootstrap.pulumi.plugins import AWS, KUBERNETES, fetch_aws, install_kubernetes

ROOT = Path(__file__).parents[3]
NAME = "pulumi-resource-kubernetes"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def an_engine(folder: Path, *, answer: str, plugin: str = f"kubernetes {KUBERNETES}") -> Path:
    """A `pulumi` that answers `plugin install resource NAME VERSION`, and nothing else."""
    folder.mkdir()
    (folder / "pulumi").write_text(
        f'#!/bin/sh\n[ "$*" = "plugin install resource {plugin}" ] || exit 9\n{answer}\n'
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


def test_the_plugin_for_aws_is_fetched_unless_it_is_there_or_on_path(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = f"$PULUMI_HOME/plugins/resource-aws-v{AWS}"
    answer = f"mkdir -p {folder}; echo asked >> $PULUMI_HOME/asked"
    engine = an_engine(tmp_path / "online", answer=answer, plugin=f"aws {AWS}")
    fetch_aws(home, engine)
    fetch_aws(home, engine)
    assert (home / "asked").read_text() == "asked\n"

    stand_in = tmp_path / "bin" / "pulumi-resource-aws"
    stand_in.parent.mkdir()
    stand_in.write_text("#!/bin/sh\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(stand_in.parent), prepend=":")
    fetch_aws(tmp_path / "other", engine)
    assert not (tmp_path / "other").exists()


def test_without_internet_it_is_said_that_there_is_no_plugin_for_aws(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = "echo 'error: no such host' >&2; exit 1"
    fetch_aws(home, an_engine(tmp_path / "offline", answer=answer, plugin=f"aws {AWS}"))
    assert "no download of pulumi-resource-aws: no such host" in capsys.readouterr().err


@pytest.mark.parametrize(("package", "version"), [("pulumi-kubernetes", KUBERNETES), ("pulumi-aws", AWS)])
def test_a_plugin_is_the_release_that_its_package_wants(package: str, version: str) -> None:
    assert importlib.metadata.version(package) == version
