"""Importing a foundation model: what comes in, what is refused, what a second call does."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from scenario_model.digests import tree_digest
from scenario_model.errors import InputError, Refused
from scenario_model.foundation.importer import import_foundation, read_record, verify_foundation
from scenario_model.model_import.command import command
from scenario_model.release.verify import verify_files
from scenario_model.signing.keys import create_pair


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
    (checkpoint / "README.md").write_text("changed")
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


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "original/consolidated.00.pth",
        "training_args.bin",
        "modeling_own.py",
        "adapter_config.json",
    ],
)
def test_what_is_not_read_is_neither_judged_nor_copied_nor_counted(
    checkpoint: Path, tmp_path: Path, name: str
) -> None:
    import_tiny(checkpoint, tmp_path / "out")
    (checkpoint / name).parent.mkdir(exist_ok=True)
    (checkpoint / name).write_bytes(b"\x80\x04rubbish")
    _, changed = import_tiny(checkpoint, tmp_path / "out")
    assert not changed, "it is the same source"
    again, _ = import_tiny(checkpoint, tmp_path / "again")
    assert again["digest"] == read_record(tmp_path / "out")["digest"]


@pytest.mark.parametrize("start", [b"\x80\x04\x95", b"PK\x03\x04", b"\x80\x02}", b""])
def test_a_pickle_by_the_name_of_weights_is_never_opened_as_one(
    checkpoint: Path, tmp_path: Path, start: bytes
) -> None:
    (checkpoint / "model.safetensors").write_bytes(start + b"rest of it")
    with pytest.raises(InputError, match="not a safetensors file"):
        import_tiny(checkpoint, tmp_path / "out")


def test_pickles_alone_are_refused_by_name(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(
        InputError, match=r"contains no safetensors weights, only pytorch_model\.bin, a pickle"
    ):
        import_tiny(checkpoint, tmp_path / "out")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_config_that_asks_for_code_is_refused(checkpoint: Path, tmp_path: Path, name: str) -> None:
    config = json.loads((checkpoint / name).read_text())
    (checkpoint / name).write_text(json.dumps({**config, "auto_map": {"AutoModel": "a.B"}}))
    with pytest.raises(Refused, match="auto_map"):
        import_tiny(checkpoint, tmp_path / "out")


def test_a_link_out_of_the_directory_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "config.json").rename(tmp_path / "config.json")
    (checkpoint / "config.json").symlink_to(tmp_path / "config.json")
    with pytest.raises(Refused, match=r"config\.json: is a symlink that leads to "):
        import_tiny(checkpoint, tmp_path / "out")


def as_hugging_face_caches_it(checkpoint: Path, folder: Path) -> Path:
    """The model's folder in a cache: blobs, a snapshot of links to them, and a name for it."""
    cache, snapshot = folder / "models--org--tiny", folder / "models--org--tiny" / "snapshots" / "abc"
    for made in (cache / "blobs", cache / "refs", snapshot):
        made.mkdir(parents=True)
    (cache / "refs" / "main").write_text("abc")
    for number, file in enumerate(sorted(checkpoint.iterdir())):
        shutil.copyfile(file, cache / "blobs" / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    return cache


def test_a_download_in_hugging_faces_cache_is_the_same_model(checkpoint: Path, tmp_path: Path) -> None:
    record, _ = import_tiny(checkpoint, tmp_path / "out")
    cache = as_hugging_face_caches_it(checkpoint, tmp_path / "cache")
    for source in (cache, cache / "snapshots" / "abc"):
        again, changed = import_tiny(source, tmp_path / "out")
        assert not changed
        assert again == record


def test_a_second_download_that_changes_only_its_metadata_is_the_same_source(
    checkpoint: Path, tmp_path: Path
) -> None:
    metadata = checkpoint / ".cache" / "huggingface" / "download" / "config.json.metadata"
    metadata.parent.mkdir(parents=True)
    for time in ("1", "2"):
        metadata.write_text(time)
        _, changed = import_tiny(checkpoint, tmp_path / "out")
    assert not changed


def sharded(checkpoint: Path, *names: str) -> None:
    """Cut the weights into files of these names, with an index."""
    weights = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    of = {weight: names[number % len(names)] for number, weight in enumerate(sorted(weights))}
    for name in names:
        (checkpoint / name).parent.mkdir(parents=True, exist_ok=True)
        part = {weight: weights[weight] for weight, place in of.items() if place == name}
        save_file(part, checkpoint / name, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": of}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))


SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def test_weights_in_several_files_are_one_model(checkpoint: Path, tmp_path: Path) -> None:
    before = load_file(checkpoint / "model.safetensors")
    sharded(checkpoint, *SHARDS)
    import_tiny(checkpoint, tmp_path / "out")
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("name", ["../elsewhere/x.safetensors", "{}/x.safetensors", "sub/x.safetensors"])
def test_an_index_may_name_files_beside_it_only(checkpoint: Path, tmp_path: Path, name: str) -> None:
    sharded(checkpoint, name.format(tmp_path), SHARDS[1])
    with pytest.raises(Refused, match=r"index\.json: names '.*x\.safetensors', which is no file beside it"):
        import_tiny(checkpoint, tmp_path / "out")


def test_a_missing_part_of_the_weights_is_named(checkpoint: Path, tmp_path: Path) -> None:
    sharded(checkpoint, *SHARDS)
    (checkpoint / SHARDS[1]).unlink()
    with pytest.raises(InputError, match=f"contains no {SHARDS[1]}; download the missing part"):
        import_tiny(checkpoint, tmp_path / "out")


def test_a_download_that_was_cut_off_is_said_with_its_sizes(checkpoint: Path, tmp_path: Path) -> None:
    file = checkpoint / "model.safetensors"
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"has {size - 100} bytes where its header says {size}"):
        import_tiny(checkpoint, tmp_path / "out")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_called_one(checkpoint: Path, tmp_path: Path, name: str) -> None:
    (checkpoint / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(
        InputError, match="is a Git LFS pointer, not the file itself; run `git lfs pull` there"
    ):
        import_tiny(checkpoint, tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
        (b"{", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'{"model_type": "llama", "quantization_config": {}}', "is quantised"),
        (b'{"model_type": "no-such-thing"}', "cannot be loaded"),
    ],
)
def test_a_config_that_cannot_be_used_is_one_line(
    checkpoint: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    (checkpoint / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        import_tiny(checkpoint, tmp_path / "out")
    assert str(checkpoint) in str(error.value)
    assert "\n" not in str(error.value)


def change_config(checkpoint: Path, **changes: object) -> None:
    path = checkpoint / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("weight", "config"),
    [
        ("model.layers.0.self_attn.q_proj.bias", {}),
        ("model.layers.7.mlp.up_proj.weight", {}),
        ("model.layers.1.input_layernorm.weight", {"num_hidden_layers": 1}),
        ("score.weight", {}),
    ],
)
def test_weights_that_have_no_place_in_the_model_are_not_dropped_silently(
    checkpoint: Path, tmp_path: Path, weight: str, config: dict[str, object]
) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    weights.setdefault(weight, torch.ones(64, dtype=torch.bfloat16))
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    change_config(checkpoint, **config)
    with pytest.raises(Refused, match=r"weights have no place in the model, and would be lost: "):
        import_tiny(checkpoint, tmp_path / "out")


def test_a_head_of_its_own_is_kept_where_the_config_ties_it(checkpoint: Path, tmp_path: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    same = weights["model.embed_tokens.weight"]
    for name, head in {"same": same.clone(), "own": same + 1}.items():
        save_file(
            {**weights, "lm_head.weight": head}, checkpoint / "model.safetensors", metadata={"format": "pt"}
        )
        import_tiny(checkpoint, tmp_path / name)
        tied = json.loads((tmp_path / name / "config.json").read_text())["tie_word_embeddings"]
        assert tied is (name == "same")
    assert torch.equal(load_file(tmp_path / "own" / "model.safetensors")["lm_head.weight"], same + 1)


@pytest.mark.parametrize("content", ["{", '{"max_new_tokens": -1}'])
def test_a_generation_config_that_cannot_be_used_is_not_dropped_silently(
    checkpoint: Path, tmp_path: Path, content: str
) -> None:
    (checkpoint / "generation_config.json").write_text(content)
    with pytest.raises(InputError, match=r"generation_config\.json: "):
        import_tiny(checkpoint, tmp_path / "out")


def test_a_tokenizer_that_is_larger_than_the_embedding_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    tokenizer.add_tokens(["<one>", "<two>"])
    tokenizer.save_pretrained(checkpoint)
    with pytest.raises(Refused, match=r"its tokenizer has \d+ tokens, but its embedding only \d+"):
        import_tiny(checkpoint, tmp_path / "out")


def test_licences_and_further_chat_templates_come_along(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("LICENSE", "NOTICE.txt", "additional_chat_templates/tool_use.jinja"):
        (checkpoint / name).parent.mkdir(exist_ok=True)
        (checkpoint / name).write_text(f"{{# {name} #}}")
        import_tiny(checkpoint, tmp_path / f"out-{len(name)}")
        assert (tmp_path / f"out-{len(name)}" / name).read_text() == f"{{# {name} #}}"


def test_a_release_as_foundation_brings_its_lineage(checkpoint: Path, tmp_path: Path) -> None:
    own = {"name": "b", "parent": {"name": "a", "digest": "sha256:0"}, "run": "sha256:1", "created": "2026"}
    older = {**own, "name": "a"}
    (checkpoint / "release.json").write_text(json.dumps({**own, "lineage": [older], "format": 1}))
    record, _ = import_tiny(checkpoint, tmp_path / "out")
    assert record["lineage"] == [older, own]


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


def test_a_part_of_a_split_gguf_is_called_one(tmp_path: Path) -> None:
    key = b"split.count"
    content = b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, len(key)) + key + struct.pack("<IH", 2, 3)
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(InputError, match="is one of 3 parts of a split GGUF; merge them with"):
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


def test_a_torn_signature_or_another_keys_is_replaced(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [str(checkpoint), "--out", str(out), "--max-perplexity", "1e9", "--key"]
    for name in ("a", "b"):
        create_pair(tmp_path / f"{name}.pem", tmp_path / f"{name}.pub")
    for name in ("a", "a", "b"):
        CliRunner().invoke(command, [*arguments, str(tmp_path / f"{name}.pem")], catch_exceptions=False)
        verify_files(out, tmp_path / f"{name}.pub")
    signature = (out / "release.sig").read_bytes()
    (out / "release.sig").write_bytes(signature[: len(signature) // 2])
    CliRunner().invoke(command, [*arguments, str(tmp_path / "b.pem")], catch_exceptions=False)
    verify_files(out, tmp_path / "b.pub")
    kept = (out / "release.sig").read_bytes()
    CliRunner().invoke(command, [*arguments, str(tmp_path / "b.pem")], catch_exceptions=False)
    assert (out / "release.sig").read_bytes() == kept, "a good one stays"


def test_weights_may_be_read_by_whoever_may_read_the_configuration(tiny_foundation: Path) -> None:
    modes = {path.name: path.stat().st_mode for path in tiny_foundation.iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]
