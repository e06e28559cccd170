"""A training run from configuration to trained model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from scenario_model.config import load_file as load_config
from scenario_model.digests import tree_digest
from scenario_model.errors import InputError, ScenarioModelError
from scenario_model.train import run as training_run
from scenario_model.train.command import command
from scenario_model.train.plan import make_plan
from scenario_model.train.run import train
from scenario_model.train.settings import TrainSettings

Configure = Callable[..., Path]


def run(config: Path) -> tuple[dict[str, object], Path]:
    plan = make_plan(load_config(TrainSettings, config))
    result, changed = train(plan)
    assert changed
    return result, plan.folder.root


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [{"method": "lora"}, {"method": "full", "learning_rate": 1e-3}])
def test_the_loss_falls_and_the_trained_model_says_so_too(
    configure: Configure, recipe: dict[str, object]
) -> None:
    _, folder = run(configure(max_steps=None, epochs=4, **recipe))
    losses = [json.loads(line)["loss"] for line in (folder / "progress.jsonl").read_text().splitlines()]
    assert losses[0] == pytest.approx(math.log(49152), rel=0.02)  # a model that knows nothing
    assert min(losses) < losses[0] - 0.3


@pytest.mark.slow
def test_the_result_is_a_whole_checkpoint_that_transformers_loads(configure: Configure) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    result, folder = run(configure())
    model = AutoModelForCausalLM.from_pretrained(folder / "model", local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder / "model", local_files_only=True)
    assert model.dtype == torch.bfloat16
    assert tokenizer.chat_template
    assert result["model"] == tree_digest(folder / "model")
    assert not (folder / "checkpoints").exists()


@pytest.mark.slow
def test_training_changes_the_layers_and_lora_leaves_the_embedding(
    configure: Configure, tiny_foundation: Path
) -> None:
    _, folder = run(configure())
    before, after = (
        load_file(tiny_foundation / "model.safetensors"),
        load_file(folder / "model/model.safetensors"),
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in before if ".mlp." in name or ".self_attn." in name} == changed


@pytest.mark.slow
def test_the_same_configuration_never_trains_twice(configure: Configure) -> None:
    config = configure()
    result, _ = run(config)
    again, changed = train(make_plan(load_config(TrainSettings, config)))
    assert (again, changed) == (result, False)


@pytest.mark.slow
def test_two_runs_of_the_same_inputs_are_equal_bit_for_bit(configure: Configure) -> None:
    first, _ = run(configure(runs="one"))
    second, _ = run(configure(runs="two"))
    assert first["model"] == second["model"]


def test_another_seed_is_another_run(configure: Configure) -> None:
    digests = {make_plan(load_config(TrainSettings, configure(seed=seed))).digest for seed in (0, 1)}
    assert len(digests) == 2


@pytest.mark.slow
def test_bf16_stays_close_to_fp32(configure: Configure) -> None:
    losses = {}
    for dtype in ("bf16", "fp32"):
        result, _ = run(configure(runs=dtype, dtype=dtype))
        losses[dtype] = result["final_loss"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=5e-3)


@pytest.mark.slow
def test_micro_batches_do_not_change_the_result(configure: Configure) -> None:
    losses = [run(configure(runs=f"m{size}", micro_batch=size))[0]["final_loss"] for size in (1, 4)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
def test_recomputing_activations_does_not_change_the_result(configure: Configure) -> None:
    losses = [run(configure(runs=f"r{on}", recompute=on))[0]["final_loss"] for on in (True, False)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_before_anything_is_saved(configure: Configure) -> None:
    config = configure(method="full", learning_rate=1.0, clip_norm=1e30, max_steps=40, epochs=40)
    plan = make_plan(load_config(TrainSettings, config))
    # A rate this absurd overflows float32 within a few steps.
    object.__setattr__(plan.settings.recipe, "learning_rate", 1e30)
    with pytest.raises(ScenarioModelError, match="the loss is"):
        train(plan)
    for weights in plan.folder.checkpoints.glob("step-*/*.safetensors"):
        assert all(
            bool(torch.isfinite(t).all()) for n, t in load_file(weights).items() if "generator" not in n
        )
    assert not plan.folder.result.exists()
    assert not plan.folder.model.exists()


@pytest.mark.slow
def test_progress_names_speed_memory_and_time_left(configure: Configure) -> None:
    _, folder = run(configure())
    lines = [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert all(
        line["of"] == 5 and line["tokens_per_s"] > 0 and line["memory_bytes"] > 2**20 for line in lines
    )
    assert all(0 < line["mfu"] < 1 for line in lines)
    assert lines[-1]["seconds_left"] == 0


@pytest.mark.slow
def test_run_json_names_what_the_run_was_made_of(configure: Configure, tiny_foundation: Path) -> None:
    _, folder = run(configure())
    record = json.loads((folder / "run.json").read_text())
    assert record["foundation"]["directory"] == str(tiny_foundation.resolve())
    assert record["digest"].removeprefix("sha256:") == folder.name
    assert record["environment"]["threads"] >= 1
    held_out = [json.loads(line) for line in (folder / "held_out.jsonl").read_text().splitlines()]
    assert len(held_out) == record["data"]["held_out_documents"] >= 1


def test_a_plan_validates_and_trains_nothing(configure: Configure, tmp_path: Path) -> None:
    config = configure()
    result = CliRunner().invoke(
        command, ["--config", str(config), "--plan", "--json"], catch_exceptions=False
    )
    printed = json.loads(result.stdout)
    assert printed["state"] == "new"
    assert printed["data"]["training_documents"] > 0
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"rank": 0}, "'recipe.rank' is 0; it must be at least 1"),
        ({"rank": -1}, "'recipe.rank' is -1"),
        ({"learning_rate": 0}, "'recipe.learning_rate' is 0; it must be above 0"),
        ({"learning_rate": "fast"}, "'recipe.learning_rate' is \"fast\"; it must be a number"),
        ({"epochs": 1.5}, "'recipe.epochs' is 1.5; it must be a whole number"),
        ({"method": "qlora"}, '\'recipe.method\' is "qlora"; use one of "lora", "full"'),
        ({"lr": 1}, "unknown key 'recipe.lr'; known keys: method, rank"),
        ({"tokens_per_step": 32}, "it must be at least sequence_length, 64"),
        ({"sequence_length": 4096, "tokens_per_step": 4096}, "this model supports at most 2048 tokens"),
    ],
)
def test_a_bad_recipe_is_one_error_that_names_key_and_range(
    configure: Configure, recipe: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError) as error:
        make_plan(load_config(TrainSettings, configure(**recipe)))
    assert message in str(error.value)


def test_fsdp_in_one_process_is_refused_with_the_way_to_have_it(configure: Configure) -> None:
    with pytest.raises(InputError, match="torchrun --nproc-per-node"):
        run(configure(strategy="fsdp"))


def test_a_foundation_model_that_was_changed_is_not_trained(configure: Configure, tmp_path: Path) -> None:
    import shutil

    config = configure()
    content = json.loads(config.read_text())
    copy = Path(shutil.copytree(content["foundation"], tmp_path / "copy"))
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    config.write_text(json.dumps({**content, "foundation": str(copy)}))
    with pytest.raises(ScenarioModelError, match="differ from those that were imported"):
        run(config)


def test_an_operation_that_gives_other_bits_each_time_ends_training_and_says_what_to_do() -> None:
    # Torch's own words, which only a GPU makes it say.
    said = "put_ does not have a deterministic implementation, but you set 'torch.use_deterministic_algorithms(True)'"
    with (
        pytest.raises(ScenarioModelError, match=r"needs put_, which gives other bits.*; train it on CPUs"),
        training_run._explaining_what_varies(),
    ):
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="out of memory"), training_run._explaining_what_varies():
        raise RuntimeError("out of memory")
