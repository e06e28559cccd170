"""From a run to a promoted release, by the command line: what is signed, what is refused, what is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from scenario_model.digests import json_digest, tree_digest
from scenario_model.errors import InputError, Refused
from scenario_model.release.command import command
from scenario_model.release.store import FolderStore
from scenario_model.release.verify import verify_release
from scenario_model.signing import keys

if TYPE_CHECKING:
    from pathlib import Path

    from tests.model.release.conftest import KeyPair

RECIPE = {"method": "lora", "rank": 4}


def make_run(directory: Path, *, passed: bool = True, weight: float = 1.0) -> Path:
    """A trained and evaluated run as its two makers leave it, with weights of a few bytes."""
    model = directory / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"model_type": "llama"}')
    (model / "tokenizer.json").write_text("{}")
    save_file({"weight": np.full(4, weight, dtype=np.float32)}, model / "model.safetensors")
    (directory / "held_out.jsonl").write_text('{"id": "a", "text": "b"}\n')
    parent = {"name": "tiny", "digest": f"sha256:{'1' * 64}"}
    inputs = {
        "digest": f"sha256:{'2' * 64}",
        "foundation": {"directory": str(directory), **parent},
        "data": {"digest": f"sha256:{'3' * 64}"},
        "recipe": RECIPE,
        "package": f"sha256:{'4' * 64}",
    }
    evaluation = {
        "passed": passed,
        "reasons": [] if passed else ["new domain: no gain"],
        "model": tree_digest(model),
    }
    (directory / "run.json").write_text(json.dumps(inputs))
    (directory / "result.json").write_text(json.dumps({"finished": "2026-11-22T12:00:00+00:00"}))
    (directory / "evaluation.json").write_text(json.dumps(evaluation))
    return directory


class Release:
    """`scenario-model release` on one store with one key."""

    def __init__(self, root: Path, pair: KeyPair) -> None:
        self.store, self.pair = root / "store", pair

    def __call__(self, *arguments: object) -> dict[str, Any]:
        done = CliRunner().invoke(command, [*map(str, arguments), "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def sign(self, run: Path, name: str = "assistant") -> dict[str, Any]:
        return self("sign", run, "--name", name, "--store", self.store, "--key", self.pair.private)

    def promote(self, release: str, *options: str) -> dict[str, Any]:
        return self("promote", release, "--store", self.store, "--key", self.pair.private, *options)

    def rollback(self) -> dict[str, Any]:
        return self("rollback", "--store", self.store, "--key", self.pair.private)

    def list(self, *options: object) -> dict[str, Any]:
        return self("list", "--store", self.store, *options)


@pytest.fixture
def release(tmp_path: Path, key_pair: KeyPair) -> Release:
    return Release(tmp_path, key_pair)


def test_a_release_says_where_it_comes_from_and_how_it_did(release: Release, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    signed = release.sign(run)
    assert (signed["passed"], signed["changed"]) == (True, True)
    kept = FolderStore(release.store).fetch(signed["release"])
    manifest = verify_release(kept, release.pair.public, expect=signed["release"]).manifest
    assert manifest["name"] == "assistant"
    assert manifest["parent"] == {"name": "tiny", "digest": f"sha256:{'1' * 64}"}
    assert manifest["data"]["digest"] == f"sha256:{'3' * 64}"
    assert manifest["recipe"] == {"digest": json_digest(RECIPE), **RECIPE}
    assert manifest["run"] == f"sha256:{'2' * 64}"
    assert manifest["evaluation"] == json.loads((run / "evaluation.json").read_text())
    assert manifest["created"] == "2026-11-22T12:00:00+00:00"
    assert {"name", "version", "digest"} == manifest["package"].keys()
    assert sorted(path.name for path in run.iterdir()) == [
        "evaluation.json",
        "held_out.jsonl",
        "model",
        "result.json",
        "run.json",
    ]


def test_signing_the_same_run_again_changes_nothing(release: Release, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    first = release.sign(run)
    assert release.sign(run) == {**first, "changed": False}


def test_a_run_that_failed_its_gate_is_kept_but_not_promoted(release: Release, tmp_path: Path) -> None:
    signed = release.sign(make_run(tmp_path / "run", passed=False))
    assert signed["passed"] is False
    with pytest.raises(Refused, match="did not pass its evaluation gate: new domain: no gain"):
        release.promote(signed["release"])
    (listed,) = release.list()["releases"]
    assert (listed["release"], listed["passed"], listed["reasons"]) == (
        signed["release"],
        False,
        ["new domain: no gain"],
    )


def test_weights_that_were_not_evaluated_are_refused(release: Release, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    save_file({"weight": np.zeros(4, dtype=np.float32)}, run / "model" / "model.safetensors")
    with pytest.raises(Refused, match="is not the model that was evaluated"):
        release.sign(run)


def test_a_run_without_evaluation_is_bad_input(release: Release, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "evaluation.json").unlink()
    with pytest.raises(InputError, match="evaluate first"):
        release.sign(run)


def test_a_model_with_a_pickle_or_code_is_not_signed(release: Release, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "model" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    evaluation = json.loads((run / "evaluation.json").read_text())
    (run / "evaluation.json").write_text(json.dumps({**evaluation, "model": tree_digest(run / "model")}))
    with pytest.raises(Refused, match=r"^pytorch_model.bin: not an allowed file type"):
        release.sign(run)
    assert release.list() == {"releases": [], "channels": []}


def test_the_list_shows_verdicts_positions_and_history(release: Release, tmp_path: Path) -> None:
    first = release.sign(make_run(tmp_path / "1", weight=1))["release"]
    second = release.sign(make_run(tmp_path / "2", weight=2))["release"]
    other = release.sign(make_run(tmp_path / "3", weight=3), name="other")["release"]
    assert release.promote(first, "--expect", "none")["changed"]
    assert not release.promote(first)["changed"]
    release.promote(second)
    assert release.rollback()["release"] == first
    release.promote(other, "--channel", "canary")
    found = release.list("--key", release.pair.public)
    assert {entry["release"]: entry["channels"] for entry in found["releases"]} == {
        first: ["stable"],
        second: [],
        other: ["canary"],
    }
    assert all(entry["signed"] is True for entry in found["releases"] + found["channels"])
    stable = release.list("--name", "assistant", "--channel", "stable")["channels"][0]
    steps = [(step["sequence"], step["action"], step["release"]) for step in stable["history"]]
    assert steps == [(1, "promote", first), (2, "promote", second), (3, "rollback", first)]
    assert all("@" in step["by"] and step["at"].startswith("20") for step in stable["history"])
    text = CliRunner().invoke(command, ["list", "--store", str(release.store)]).stdout
    assert "gate passed" in text
    assert f"assistant / stable -> {first}" in text


def test_the_list_says_what_does_not_verify(
    release: Release, other_key_pair: KeyPair, tmp_path: Path
) -> None:
    name = release.sign(make_run(tmp_path / "run"))["release"]
    release.promote(name)
    manifest = FolderStore(release.store).fetch(name) / "release.json"
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text().replace("true", "1e9"))
    (listed,) = release.list("--key", release.pair.public)["releases"]
    assert listed["signed"] is False
    assert listed["problem"] == "release.json: content differs from what was signed"
    (head,) = release.list("--key", other_key_pair.public)["channels"]
    assert "invalid signature" in head["problem"]


def test_a_key_pair_is_made_once_and_its_private_half_is_private(tmp_path: Path) -> None:
    private, public = tmp_path / "keys" / "signing.pem", tmp_path / "keys" / "verification.pem"
    call = Release(tmp_path, None)  # type: ignore[arg-type]
    made = call("key", "--private", private, "--public", public)
    assert made["changed"] is True
    assert private.stat().st_mode & 0o777 == 0o600
    assert call("key", "--private", private, "--public", public) == {**made, "changed": False}
    content = public.read_bytes()
    public.unlink()
    assert call("key", "--private", private, "--public", public)["changed"] is True
    assert public.read_bytes() == content
    assert sorted(path.name for path in private.parent.iterdir()) == ["signing.pem", "verification.pem"]


def test_keys_that_do_not_fit_are_bad_input(
    key_pair: KeyPair, other_key_pair: KeyPair, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="does not belong to the private key"):
        keys.create_pair(key_pair.private, other_key_pair.public)
    with pytest.raises(InputError, match="the private key is missing but its public half exists"):
        keys.create_pair(tmp_path / "gone.pem", key_pair.public)
    copy = tmp_path / "open.pem"
    copy.write_bytes(key_pair.private.read_bytes())
    copy.chmod(0o644)
    with pytest.raises(InputError, match="others may read or change this private key"):
        keys.load_private(copy)


@pytest.mark.parametrize(
    "arguments",
    [
        ["promote", "assistant", "--store", "x", "--key", "y"],
        ["promote", "assistant@sha256:12", "--store", "x", "--key", "y"],
        ["list", "--store", "x", "--name", "../x"],
        ["rollback", "--name", "A", "--store", "x", "--key", "y"],
    ],
)
def test_a_name_that_is_none_is_bad_input(arguments: list[str], tmp_path: Path, key_pair: KeyPair) -> None:
    given = [str(key_pair.private) if word == "y" else word for word in arguments]
    given = [str(tmp_path) if word == "x" else word for word in given]
    done = CliRunner().invoke(command, given)
    assert isinstance(done.exception, InputError)
