"""The base with EFA's libraries fits the training image: its place, its lock, and the NCCL that loads the plugin."""

from __future__ import annotations

import mmap
import re
from importlib.metadata import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EFA = (ROOT / "images" / "efa.Containerfile").read_text()
MODEL = (ROOT / "model" / "Containerfile").read_text()
# What the plugin of that commit has: `git grep ncclNetPlugin_v` in it.
INTERFACES = {"2475c4c736907e68ebeadb3848f31231ee4a44d0": range(6, 13)}


def locked(name: str) -> dict[str, str]:
    """Versions of a lock's packages."""
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))


def test_the_newest_interface_of_the_locked_nccl_is_one_that_the_plugin_has() -> None:
    commit = re.search(r"^ARG AWS_OFI_NCCL=([0-9a-f]{40})$", EFA, re.MULTILINE)
    assert commit
    library = next(each for each in files("nvidia-nccl-cu13") or [] if each.name == "libnccl.so.2")
    with (
        Path(str(library.locate())).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
    ):
        known = {int(number) for number in re.findall(rb"ncclNetPlugin_v(\d+)\0", text)}
    assert max(known) == max(INTERFACES[commit[1]]), "NCCL would take an older one, or none"


def test_cudas_headers_are_of_the_version_that_the_image_has() -> None:
    headers, image = locked("efa.lock"), locked("model.lock")
    assert headers["nvidia-cuda-runtime"] == image["nvidia-cuda-runtime"]
    assert len({version.rsplit(".", 1)[0] for version in headers.values()}) == 1


def test_libfabric_finds_cudas_runtime_where_the_training_image_has_it() -> None:
    places = [re.findall(r"--target (\S+)", text) for text in (EFA, MODEL)]
    assert set(places[0]) == set(places[1]) == {"/opt/scenario-model"}
    there = [str(each) for each in files("nvidia-cuda-runtime") or [] if ".so." in each.name]
    assert re.fullmatch(r"nvidia/cu\d+/lib/libcudart\.so\.\d+", there[0]), there
    assert "/opt/scenario-model/nvidia/cu* /opt/cuda" in EFA
    assert '"$(readlink -f /opt/cuda)"/lib/libcudart.so.[0-9]* /opt/efa/lib/libcudart.so' in EFA


@pytest.mark.parametrize("text", [EFA, MODEL])
def test_what_is_copied_into_an_image_is_in_what_it_is_built_from(text: str) -> None:
    let_through = re.findall(r"^!(\S+)", (ROOT / ".containerignore").read_text(), re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(\S+)", text, re.MULTILINE)
    assert copied
    assert set(copied) <= set(let_through)
    assert all((ROOT / each).exists() for each in copied)


def test_sources_are_pinned_by_their_commits_and_fetched_from_where_the_user_says() -> None:
    fetched = re.findall(r'git fetch -q --depth 1 "\$\{EFA_SOURCES\}/([\w/.-]+)" "\$\{(\w+)\}"', EFA)
    assert [repository for repository, _ in fetched] == ["ofiwg/libfabric.git", "aws/aws-ofi-nccl.git"]
    for _, commit in fetched:
        assert re.search(rf"^ARG {commit}=[0-9a-f]{{40}}$", EFA, re.MULTILINE)
