"""The gate on tiny real models: what is scored, and how a run is judged."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch
from click.testing import CliRunner

from scenario_model.data.documents import Document
from scenario_model.data.packing import IGNORED
from scenario_model.digests import tree_digest
from scenario_model.errors import InputError, Refused
from scenario_model.evaluate.command import command
from scenario_model.evaluate.documents import GENERAL, counted_bytes, read_documents
from scenario_model.evaluate.gate import evaluate_run
from scenario_model.evaluate.score import bits, windows
from scenario_model.evaluate.settings import GateSettings
from scenario_model.foundation.importer import read_record
from scenario_model.foundation.loading import load_directory

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    f"Statement {number}: the for statement iterates over the items of a sequence; else runs when they are "
    f"exhausted, and break number {number} ends the loop without it. " * 3
    for number in range(8)
]


@dataclass(frozen=True, slots=True)
class Tiny:
    model: Any
    tokenizer: Any


@pytest.fixture(scope="module")
def tiny(tiny_foundation: Path) -> Tiny:
    loaded = load_directory(tiny_foundation)
    return Tiny(loaded.model.float(), loaded.tokenizer)


def make_run(directory: Path, foundation: Path, model: Path) -> Path:
    """A run's folder as `train` leaves it, with `model` as its result."""
    directory.mkdir()
    record = read_record(foundation)
    inputs = {
        "digest": f"sha256:{'1' * 64}",
        "foundation": {"directory": str(foundation), "name": record["name"], "digest": record["digest"]},
        "data": {"digest": f"sha256:{'2' * 64}"},
        "recipe": {"method": "lora"},
        "package": f"sha256:{'3' * 64}",
    }
    (directory / "run.json").write_text(json.dumps(inputs))
    (directory / "result.json").write_text(json.dumps({"finished": "2026-11-22T12:00:00+00:00"}))
    lines = [json.dumps({"id": f"topic {number}", "text": text}) for number, text in enumerate(TEXTS)]
    (directory / "held_out.jsonl").write_text("\n".join(lines) + "\n")
    shutil.copytree(model, directory / "model", ignore=shutil.ignore_patterns("foundation.json"))
    return directory


@pytest.fixture(scope="module")
def learnt(tiny: Tiny, tiny_foundation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model after it has learnt the new domain by heart, and a little English with it."""
    loaded = load_directory(tiny_foundation)
    model = loaded.model.float().train()
    general = [document.text[:300] for document in read_documents(GENERAL)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(40):
        text = TEXTS[step % len(TEXTS)] + general[step % len(general)]
        tokens = loaded.tokenizer(text, return_tensors="pt").input_ids
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    out = tmp_path_factory.mktemp("learnt") / "model"
    model.to(torch.bfloat16).save_pretrained(out)
    loaded.tokenizer.save_pretrained(out)
    return out


def silent(_what: str, _share: float) -> None:
    """No progress wanted."""


def test_every_token_of_every_document_is_scored_once(tiny: Tiny) -> None:
    documents = [Document("short", "A few words."), Document("long", "One two three four. " * 500)]
    cut = windows(documents, tiny.tokenizer, longest=64)
    for index, document in enumerate(documents):
        tokens = tiny.tokenizer(document.text, add_special_tokens=False).input_ids
        scored = [t for w in cut if w.document == index for t in w.targets if t != IGNORED]
        assert sorted(scored) == sorted(tokens[1:]), "nothing predicts the first one"
    assert max(len(window.tokens) for window in cut) <= 64
    assert min(len(w.targets) - sum(t != IGNORED for t in w.targets) for w in cut if w.document == 1) == 0


def test_later_windows_have_context_before_what_they_score(tiny: Tiny) -> None:
    text = "One two three four. " * 100
    cut = windows([Document("long", text)], tiny.tokenizer, longest=64)
    starts = [next(i for i, t in enumerate(w.targets) if t != IGNORED) for w in cut]
    assert starts.count(0) == 1
    assert all(start >= 64 // 8 - 1 for start in starts if start)


def test_bits_are_those_of_a_plain_forward_pass(tiny: Tiny) -> None:
    documents = [Document(str(number), text) for number, text in enumerate(TEXTS)]
    cut = windows(documents, tiny.tokenizer, longest=2048)
    found = bits(tiny.model, cut, len(documents), progress=lambda _: None)
    for document, needed in zip(documents, found, strict=True):
        ids = tiny.tokenizer(document.text, add_special_tokens=False).input_ids
        tokens = torch.tensor([ids])
        with torch.inference_mode():
            logits = tiny.model(tokens).logits[0, :-1]
        nats = torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="sum")
        assert needed == pytest.approx(float(nats) / math.log(2), rel=1e-4)


def test_of_a_conversation_only_the_assistants_words_are_scored(tiny: Tiny) -> None:
    text = "user: say hello\nassistant: hello there\nuser: bye"
    start, end = text.index(" hello there"), text.index("\nuser: bye")
    document = Document("chat", text, ((start, end),))
    (window,) = windows([document], tiny.tokenizer, longest=64)
    assert tiny.tokenizer.decode([t for t in window.targets if t != IGNORED]) == " hello there"
    assert counted_bytes(document) == len(" hello there")


def test_the_general_text_is_there_and_varied() -> None:
    documents = read_documents(GENERAL)
    assert len({document.id for document in documents}) == 32
    assert 40_000 < sum(map(counted_bytes, documents)) < 60_000


@pytest.mark.slow
def test_a_model_that_learnt_the_new_domain_passes(
    learnt: Path, tiny_foundation: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", tiny_foundation, learnt)
    evaluation, changed = evaluate_run(run, GateSettings(), silent)
    assert changed
    assert evaluation["passed"], evaluation["reasons"]
    assert evaluation["new_domain"]["interval"][1] < 0
    assert evaluation["model"] == tree_digest(run / "model")
    assert json.loads((run / "evaluation.json").read_text()) == evaluation
    # Again: nothing is scored anew, and another setting only changes the verdict.
    said: list[str] = []
    again = evaluate_run(run, GateSettings(), lambda what, _: said.append(what))
    assert again == (evaluation, False)
    stricter, changed = evaluate_run(run, GateSettings(minimum_gain=50.0), lambda what, _: said.append(what))
    assert (stricter["passed"], changed, said) == (False, True, [])


@pytest.mark.slow
def test_the_parent_itself_fails_with_a_reason_and_exit_code_1(tiny_foundation: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny_foundation, tiny_foundation)
    result = CliRunner().invoke(command, ["--run", str(run), "--json"])
    assert isinstance(result.exception, Refused)
    assert result.exception.exit_code == 1
    assert "gate failed: new domain: " in str(result.exception)
    evaluation = json.loads(result.stdout)
    assert evaluation["passed"] is False
    assert evaluation["new_domain"]["difference"] == 0


@pytest.mark.slow
def test_a_foundation_that_changed_since_is_refused(
    learnt: Path, tiny_foundation: Path, tmp_path: Path
) -> None:
    foundation = tmp_path / "foundation"
    shutil.copytree(tiny_foundation, foundation)
    run = make_run(tmp_path / "run", foundation, learnt)
    (foundation / "generation_config.json").write_text("{}")
    with pytest.raises(Refused, match="not the foundation model that the run started from"):
        evaluate_run(run, GateSettings(), silent)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("result.json", None, "the run has not finished"),
        ("run.json", None, "not a training run"),
        ("run.json", "{", "is not JSON"),
        ("run.json", "{}", "has no 'digest'"),
        ("held_out.jsonl", "", "contains no document"),
        ("held_out.jsonl", '{"id": "a", "text": "b"}\n{"id": 1}\n', "held_out.jsonl:2: is not a document"),
    ],
)
def test_a_run_that_cannot_be_evaluated_is_bad_input(
    name: str, content: str | None, message: str, tiny_foundation: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", tiny_foundation, tiny_foundation)
    (run / name).unlink()
    if content is not None:
        (run / name).write_text(content)
    with pytest.raises(InputError, match=message):
        evaluate_run(run, GateSettings(), silent)


def test_a_bad_gate_setting_is_named(tiny_foundation: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny_foundation, tiny_foundation)
    (tmp_path / "gate.json").write_text('{"old_domain_margin": "much"}')
    result = CliRunner().invoke(command, ["--run", str(run), "--gate", str(tmp_path / "gate.json")])
    assert isinstance(result.exception, InputError)
    assert "key 'old_domain_margin' is \"much\"; it must be a number" in str(result.exception)
