"""The table and the Go modules say the same."""

from __future__ import annotations

import re

import pytest

from lab.binaries.build import MODULES
from lab.binaries.groups import GROUPS


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_is_pinned_at_the_version_that_is_announced(name: str) -> None:
    group = GROUPS[name]
    pinned = (MODULES / name / "go.mod").read_text()
    if group.module:
        assert f"{group.module} v{group.version}" in pinned
        sums = (MODULES / name / "go.sum").read_text()
        assert f"{group.module} v{group.version} h1:" in sums
        assert f"{group.module} v{group.version}/go.mod h1:" in sums


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_of_several_programs_has_the_names_that_go_gives_them(name: str) -> None:
    packages = re.findall(r"^(?:tool |\t)([^\s(]\S*)$", (MODULES / name / "go.mod").read_text(), re.MULTILINE)
    assert len(packages) == len(GROUPS[name].programs)
    if len(packages) > 1:
        assert sorted(package.rpartition("/")[2] for package in packages) == sorted(GROUPS[name].programs)


@pytest.mark.parametrize("name", [name for name, group in GROUPS.items() if group.release])
def test_a_release_has_a_file_or_a_member_for_every_program(name: str) -> None:
    release = GROUPS[name].release
    assert release
    assert len(release.members or release.files) == len(GROUPS[name].programs)
    assert release.base.startswith("https://")
    for text in (release.base, *release.files, *release.members):
        text.format(version="1", arch="amd64")
    release.checksums.format(file="f", version="1", arch="amd64")
