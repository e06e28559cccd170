"""An image is made once for a content, and says what it is called."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

from lab import LabError
from lab.images import image, recipes, reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "model-deployment-scenarios" / "lab" / "images"


@pytest.fixture
def write_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes the content of every program that an image is made of."""
    monkeypatch.setattr(recipes, "programs", lambda _name: tmp_path)

    def write(content: str) -> None:
        for name in ("manager", "pause"):
            (tmp_path / name).write_text(content)

    write("first")
    return write


def test_an_image_is_made_once(write_program: object, capsys: pytest.CaptureFixture[str]) -> None:
    made = image("jobset")
    written = made.stat().st_mtime_ns
    assert "image localhost/scenario-lab/jobset:0.12.0" in capsys.readouterr().err
    assert image("jobset") == made
    assert made.stat().st_mtime_ns == written
    assert capsys.readouterr().err == ""


def test_a_changed_program_makes_another_image_and_the_old_one_goes(
    write_program: Callable[[str], None], cache: Path
) -> None:
    image("pause")
    other = image("jobset")
    write_program("second")
    made = image("pause")
    assert sorted(cache.glob("*.tar*")) == sorted([other, made])


def test_an_image_that_was_interrupted_does_not_count(write_program: object, cache: Path) -> None:
    finished = image("pause")
    finished.rename(finished.with_name(f"{finished.name}.unfinished"))
    assert image("pause") == finished
    assert list(cache.glob("*.unfinished")) == []


def test_a_controllers_image_runs_its_manager_as_nobody_and_lets_it_write_to_tmp(
    write_program: object,
) -> None:
    with tarfile.open(image("kueue")) as whole:
        (layer_name,) = [name for name in whole.getnames() if name.endswith("layer.tar")]
        (about_name,) = [name for name in whole.getnames() if len(name) == 64 + len(".json")]
        about = (whole.extractfile(about_name) or pytest.fail("no configuration")).read().decode()
        with tarfile.open(fileobj=whole.extractfile(layer_name)) as layer:
            assert layer.getmember("manager").mode == 0o755
            assert layer.getmember("tmp").mode == 0o1777
    assert '"Entrypoint": ["/manager"]' in about
    assert '"User": "65532:65532"' in about


def test_the_model_packages_image_is_named_after_its_version() -> None:
    assert reference("model") == "localhost/scenario-model:0.1.0"


def test_an_image_that_is_not_known_is_one_clear_line() -> None:
    with pytest.raises(LabError, match="unknown image nothing; use one of coredns, jobset"):
        image("nothing")
