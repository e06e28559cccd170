"""A model that one GPU has no room for is scored over all of a host's, and what fits on none is said early.

Two GPUs are in no test: with one, half of the layers are on the processor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from scenario_model.data.documents import Document
from scenario_model.errors import InputError
from scenario_model.evaluate.placing import layers_over, moved, placed, require_room, scoring_bytes, settle
from scenario_model.evaluate.score import bits, windows
from scenario_model.foundation.loading import load_directory
from scenario_model.foundation.tensors import parameters

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30
GPUS = [torch.device("cuda", 0), torch.device("cuda", 1)]
DEVICES = [torch.device("cpu"), *([torch.device("cuda", 0)] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module")
def model(tiny_foundation: Path) -> Any:
    return load_directory(tiny_foundation).model.float()


def weights(model: Any) -> int:
    return sum(each.numel() * each.element_size() for each in model.parameters())


def test_layers_go_to_gpus_whole_in_their_order_and_a_head_to_its_embedding(model: Any) -> None:
    layer = weights(model.model.layers[0])
    embedding = weights(model.model.embed_tokens)
    found = layers_over(model, [(GPUS[0], embedding + layer), (GPUS[1], 10 * layer)])
    number = len(model.model.layers)
    assert found == {
        "model.embed_tokens": GPUS[0],
        "model.layers.0": GPUS[0],
        **{f"model.layers.{each}": GPUS[1] for each in range(1, number)},
        "model.norm": GPUS[1],
        "model.rotary_emb": GPUS[1],
        "lm_head": GPUS[0],
    }
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_a_gpu_without_room_is_passed_over(model: Any) -> None:
    found = layers_over(model, [(GPUS[0], -GIB), (GPUS[1], GIB)])
    assert set(found.values()) == {GPUS[1]}


def test_what_fits_on_no_gpu_is_one_message(model: Any) -> None:
    little = weights(model) // 4
    said = (
        r"the model does not fit on this host's 2 GPU\(s\): no room for model\.embed_tokens and what follows"
    )
    with pytest.raises(InputError, match=said):
        layers_over(model, [(GPUS[0], little), (GPUS[1], little)])


def test_whatever_a_part_is_given_comes_to_its_device() -> None:
    meta, here = torch.device("meta"), torch.zeros(1)
    there = moved({"a": (here, [here, None]), "b": 3}, meta)
    assert [each.device for each in (there["a"][0], there["a"][1][0])] == [meta, meta]
    assert (there["a"][1][1], there["b"]) == (None, 3)


@pytest.mark.parametrize("second", DEVICES, ids=str)
def test_over_two_devices_scores_are_the_same(second: torch.device, tiny_foundation: Path) -> None:
    loaded = load_directory(tiny_foundation)
    model = loaded.model.float()
    documents = [Document("one", "The old river carries sand and light past seven quiet towns.")]
    cut = windows(documents, loaded.tokenizer, longest=64)
    wanted = bits(model, cut, 1, progress=lambda _: None)
    layer, embedding = weights(model.model.layers[0]), weights(model.model.embed_tokens)
    found = layers_over(model, [(torch.device("cpu"), embedding + layer), (second, GIB)])
    for part, where in found.items():
        settle(model.get_submodule(part), where)
    assert next(model.model.layers[1].parameters()).device == second
    assert bits(model, cut, 1, progress=lambda _: None) == pytest.approx(wanted, rel=1e-4)


def test_on_a_processor_nothing_is_spread(model: Any) -> None:
    assert placed(model, torch.device("cpu"), {}) is model


def test_the_number_of_weights_is_read_from_files_alone(tiny_foundation: Path, model: Any) -> None:
    stored = {each.data_ptr(): each.numel() for each in model.parameters()}
    assert parameters(tiny_foundation) == sum(stored.values())


def test_a_model_that_could_not_be_evaluated_is_refused_before_it_trains() -> None:
    vocabulary, h100 = 128_256, 80 * GIB
    require_room(8 * 10**9, vocabulary, {0: h100})
    require_room(70 * 10**9, vocabulary, {0: h100, 1: h100})
    with pytest.raises(InputError) as refused:
        require_room(70 * 10**9, vocabulary, {0: h100})
    assert str(refused.value) == (
        "evaluation: the model has 130 GiB of weights, but this host's 1 GPU(s) have 78 GiB for them, so its "
        "evaluation after the training would fail; use a node with more, or larger, GPUs, or a smaller foundation model"
    )
    require_room(70 * 10**9, vocabulary, {})  # on processors


def test_beside_weights_a_gpu_needs_the_scores_of_one_batch() -> None:
    assert scoring_bytes(128_256) == pytest.approx(2.5 * GIB, rel=0.02)
