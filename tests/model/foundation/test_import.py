"""Importing a foundation model: what comes in, what is refused, what a second call does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from scenario_model.digests import tree_digest
from scenario_model.errors import InputError, Refused
from scenario_model.foundation.importer import import_foundation, read_record, verify_foundation
from scenario_model.model_import.command import command


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def import_tiny(source: Path, out: Path) -> tuple[dict[str, object], bool]:
    return import_foundation(source, out, max_perplexity=1e9)


@pytest.mark.slow
def test_the_packaged_model_speaks_english_and_knows_the_capital_of_france(foundation: Path) -> None:
    proof = read_record(foundation)["proof"]
    assert proof["perplexity"] < 45
    assert "Paris" in proof["answer"]


@pytest.mark.slow
def test_the_packaged_model_comes_with_licence_tokenizer_and_chat_template(foundation: Path) -> None:
    assert read_record(foundation)["license"] == "apache-2.0"
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= {
        path.name for path in foundation.iterdir()
    }
    assert {t.dtype for t in load_file(foundation / "model.safetensors").values()} == {torch.bfloat16}


def test_a_directory_keeps_its_weights_bit_for_bit(tiny_checkpoint: Path, tiny_foundation: Path) -> None:
    before = load_file(tiny_checkpoint / "model.safetensors")
    after = load_file(tiny_foundation / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_second_import_finds_the_first_and_changes_nothing(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, changed_first = import_tiny(checkpoint, out)
    before = tree_digest(out)
    second, changed_second = import_tiny(checkpoint, out)
    assert (changed_first, changed_second) == (True, False)
    assert first == second
    assert tree_digest(out) == before


@pytest.mark.slow
def test_an_import_that_was_cut_off_is_done_again(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / ".out.importing").mkdir()
    (tmp_path / ".out.importing" / "model.safetensors").write_bytes(b"half")
    import_tiny(checkpoint, tmp_path / "out")
    verify_foundation(tmp_path / "out")
    assert not (tmp_path / ".out.importing").exists()


@pytest.mark.slow
def test_another_source_does_not_replace_a_model(checkpoint: Path, tmp_path: Path) -> None:
    import_tiny(checkpoint, tmp_path / "out")
    (checkpoint / "note.txt").write_text("changed")
    with pytest.raises(InputError, match="another source"):
        import_tiny(checkpoint, tmp_path / "out")


def test_a_changed_byte_in_an_imported_model_is_noticed(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    import_tiny(checkpoint, out)
    content = bytearray((out / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (out / "model.safetensors").write_bytes(content)
    with pytest.raises(Refused, match="differ from those that were imported"):
        verify_foundation(out)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "adapter.pkl", "model.ckpt"])
def test_a_pickle_is_refused_by_its_name(checkpoint: Path, tmp_path: Path, name: str) -> None:
    (checkpoint / name).write_bytes(b"anything")
    with pytest.raises(Refused, match="pickle") as refused:
        import_tiny(checkpoint, tmp_path / "out")
    assert name in str(refused.value)


@pytest.mark.parametrize("start", [b"\x80\x04\x95", b"PK\x03\x04", b"\x80\x02}"])
def test_a_pickle_is_refused_under_any_name(checkpoint: Path, tmp_path: Path, start: bytes) -> None:
    (checkpoint / "extra.safetensors").write_bytes(start + b"rest")
    with pytest.raises(Refused, match="pickle"):
        import_tiny(checkpoint, tmp_path / "out")


def test_code_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "modeling_own.py").write_text("raise SystemExit")
    with pytest.raises(Refused, match="own code is never run"):
        import_tiny(checkpoint, tmp_path / "out")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_config_that_asks_for_code_is_refused(checkpoint: Path, tmp_path: Path, name: str) -> None:
    config = json.loads((checkpoint / name).read_text())
    (checkpoint / name).write_text(json.dumps({**config, "auto_map": {"AutoModel": "a.B"}}))
    with pytest.raises(Refused, match="auto_map"):
        import_tiny(checkpoint, tmp_path / "out")


def test_a_symlink_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "link.json").symlink_to("/etc/hostname")
    with pytest.raises(Refused, match="symlink"):
        import_tiny(checkpoint, tmp_path / "out")


def test_weights_that_are_not_finite_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refused, match=r"model\.norm\.weight.*not finite"):
        import_tiny(checkpoint, tmp_path / "out")


def test_an_incomplete_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refused, match="1 weights do not match"):
        import_tiny(checkpoint, tmp_path / "out")


def test_a_model_that_knows_nothing_is_refused_by_its_perplexity(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the model is damaged"):
        import_foundation(checkpoint, tmp_path / "out", max_perplexity=1000)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("tokenizer.json", "tokenizer"), ("model.safetensors", "safetensors"), ("config.json", "config.json")],
)
def test_a_missing_part_is_named(checkpoint: Path, tmp_path: Path, name: str, message: str) -> None:
    (checkpoint / name).unlink()
    with pytest.raises(InputError, match=message):
        import_tiny(checkpoint, tmp_path / "out")


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGML and so on")
    with pytest.raises(InputError, match="not a GGUF file"):
        import_tiny(tmp_path / "model.gguf", tmp_path / "out")


def test_a_torn_gguf_gives_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF\x03\0\0\0")
    with pytest.raises(InputError, match="cannot be loaded"):
        import_tiny(tmp_path / "model.gguf", tmp_path / "out")


def test_the_command_prints_the_record_as_json(checkpoint: Path, tmp_path: Path) -> None:
    arguments = [str(checkpoint), "--out", str(tmp_path / "out"), "--max-perplexity", "1e9", "--json"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    printed = json.loads(result.stdout)
    assert printed["changed"] is True
    assert printed["digest"] == read_record(tmp_path / "out")["digest"]


def test_weights_may_be_read_by_whoever_may_read_the_configuration(tiny_foundation: Path) -> None:
    modes = {path.name: path.stat().st_mode for path in tiny_foundation.iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]
