"""`make image`: what its variables become."""

from __future__ import annotations

import subprocess

import pytest

from cli import ROOT, CliError
from cli.image import _GIVEN, options


def test_variables_become_options_of_the_program_that_builds_and_empty_ones_none() -> None:
    assert options({"BASE": "mine", "EFA": "", "HOME": "/"}) == ["--base=mine"]
    assert options({"EFA": "no", "EFA_SOURCES": "mirror"}) == ["--efa=no", "--efa-sources=mirror"]


def test_what_efa_is_not_is_said_before_anything_is_made() -> None:
    with pytest.raises(CliError, match="EFA=true: write EFA=yes or EFA=no"):
        options({"EFA": "true"})


def test_make_passes_on_each_of_them() -> None:
    given = [f"{name}=of-{name}" for name in _GIVEN]
    said = subprocess.run(
        ["make", "--dry-run", "image", "STACK=one", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(f'{name}="of-{name}"' in said.stdout for name in _GIVEN)
