"""Every mistake in a stack's file: one line that names the file, the key, and what would be right."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from scenario_model.config import load
from scenario_model.data.settings import Chat, PythonReference, Text
from scenario_model.evaluate.settings import GateSettings
from scenario_model.serve.engine.interface import EngineSettings
from scenario_model.serve.settings import Limits, ServeSettings
from scenario_model.serve.vllm.settings import VllmSettings
from scenario_model.train.settings import Recipe
from stacks import sections as stack_settings
from stacks.settings import PROJECT, LocalSettings, SettingsError, read_settings

STACK_FILE = Path(__file__).parents[2] / "stacks" / "Pulumi.s3-local.yaml"


def settings_of(**sections: Any) -> LocalSettings:
    """Settings as Pulumi hands them over: structured values as JSON text."""
    return read_settings(
        LocalSettings,
        "s3-local",
        {f"{PROJECT}:{name}": json.dumps(value) for name, value in sections.items()},
    )


def mistake(config: dict[str, str], secret_keys: tuple[str, ...] = ()) -> str:
    with pytest.raises(SettingsError) as error:
        read_settings(LocalSettings, "s3-local", config, secret_keys)
    return str(error.value)


def test_nothing_set_is_a_complete_configuration() -> None:
    settings = read_settings(LocalSettings, "s3-local", {})
    assert settings.foundation.kind == "packaged"
    assert settings.recipe.as_variables() == {}
    assert settings.premises.inventory == "ansible/inventory/localhost.yml"


def test_the_stack_file_in_the_repository_is_valid() -> None:
    config = yaml.safe_load(STACK_FILE.read_text(encoding="utf-8"))["config"]
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    assert read_settings(LocalSettings, "s3-local", texts).serving.port == 8443


@pytest.mark.parametrize(
    ("section", "value", "expected"),
    [
        ("recipe", {"ranks": 1}, "recipe: unknown key 'ranks'; did you mean 'rank'?"),
        ("recipe", {"rank": 0}, "recipe.rank: input should be greater than or equal to 1; got 0"),
        ("recipe", {"rank": "many"}, "recipe.rank: input should be a valid integer"),
        ("recipe", {"rank": True}, "recipe: rank should not be true or false; got true"),
        ("recipe", {"learning_rate": -1}, "recipe.learning_rate: input should be greater than 0; got -1"),
        ("recipe", {"dtype": "fp8"}, "recipe.dtype: input should be 'auto', 'bf16' or 'fp32'; got \"fp8\""),
        ("recipe", [1], "recipe: input should be a valid dictionary"),
        ("serving", {"port": "many"}, "serving.port: input should be a valid integer"),
        ("serving", {"port": 70000}, "serving.port: input should be less than or equal to 65535; got 70000"),
        ("serving", {"engine": {"wieght": "int8"}}, "serving.engine: unknown key 'wieght'; did you mean"),
        ("serving", {"engine": {"dtype": "bf16"}}, "serving.engine: dtype belongs to kind 'vllm', and this"),
        ("serving", {"engine": {"kind": "vllm", "lookup": "on"}}, "lookup belongs to kind 'torch', and this"),
        ("serving", {"engine": {"kind": "vlm"}}, "serving.engine: kind should be 'torch' or 'vllm'"),
        ("serving", {"engine": {"kind": "vllm", "tensor_parallel": 0}}, "serving.engine.tensor_parallel: in"),
        ("serving", {"engine": {"kind": "vllm", "device": "cpu"}}, "device cpu needs requirements, the lock"),
        ("data", {"kind": "chat"}, "data.path: field required"),
        ("data", {"kind": "chat", "path": "a/b"}, "data.path: must be an absolute path on the hosts"),
        ("data", {"kind": "csv"}, "expected tags: 'python-reference', 'chat', 'text'"),
        ("data", {"kind": "text", "path": "/a", "held_out": 0.9}, "data.held_out: input should be less"),
        ("foundation", {"kind": "gguf", "pth": "/a"}, "foundation: unknown key 'pth'; did you mean 'path'?"),
        ("release", {"name": "My Release"}, "release.name: string should match pattern"),
        ("gate", {"confidence": 1.5}, "gate.confidence: input should be less than or equal to 0.999"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_file_and_key(section: str, value: object, expected: str) -> None:
    line = mistake({f"{PROJECT}:{section}": json.dumps(value)})
    assert line.startswith("stacks/Pulumi.s3-local.yaml: ")
    assert expected in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({f"{PROJECT}:reciep": "{}"}, "unknown key 'reciep'; did you mean 'recipe'?"),
        ({f"{PROJECT}:recipe": "16"}, "recipe: input should be a valid dictionary"),
        ({"premises:inventry": "x"}, "premises: unknown key 'inventry'; did you mean 'inventory'?"),
        ({"premises:previewCheck": "maybe"}, "premises:previewCheck: input should be a valid boolean"),
        ({f"{PROJECT}:premises": "{}"}, "premises is a namespace: write premises:inventory: …"),
    ],
)
def test_a_key_at_the_top_is_checked_too(config: dict[str, str], expected: str) -> None:
    assert expected in mistake(config)


def test_two_mistakes_are_two_lines() -> None:
    assert len(mistake({f"{PROJECT}:recipe": '{"rank": 0, "alpha": 0}'}).splitlines()) == 2


def test_a_setting_that_was_encrypted_is_refused_because_it_would_end_up_in_plain_text() -> None:
    key = f"{PROJECT}:release"
    assert "set it without --secret" in mistake({key: '{"name": "x"}'}, (key,))


def test_other_namespaces_are_not_settings() -> None:
    assert read_settings(LocalSettings, "s3-local", {"pulumi:tags": "{}"}) == read_settings(
        LocalSettings, "s3-local", {}
    )


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        read_settings(LocalSettings, "s3-local", {}).serving.port = 1


@pytest.mark.parametrize(
    ("ours", "theirs", "not_settable"),
    [
        (stack_settings.Recipe, Recipe, set()),
        (stack_settings.Gate, GateSettings, set()),
        (stack_settings.Limits, Limits, set()),
        (stack_settings.TorchEngine, EngineSettings, set()),
        (stack_settings.VllmEngine, VllmSettings, {"environment"}),
        (stack_settings.PackagedData, PythonReference, set()),
        (stack_settings.DataPath, Chat, set()),
        (stack_settings.DataPath, Text, set()),
        (
            stack_settings.Serving,
            ServeSettings,
            {"store", "name", "channel", "release", "verification_key", "tls", "api_keys", "cache"},
        ),
    ],
)
def test_what_can_be_set_is_what_the_model_package_knows(
    ours: type[pydantic.BaseModel], theirs: Any, not_settable: set[str]
) -> None:
    known = {field.name for field in dataclasses.fields(theirs)} - not_settable
    # How vLLM's environment is made is for the playbooks, which tell the package where it is.
    assert set(ours.model_fields) - {"names", "device", "requirements"} == known


def test_what_vllm_is_told_is_accepted_by_the_model_package() -> None:
    told = {
        "kind": "vllm",
        "dtype": "bf16",
        "max_context": 4096,
        "gpu_memory_utilization": 1,
        "tensor_parallel": 8,
    }
    engine = settings_of(serving={"engine": {**told, "device": "gpu"}}).serving.engine.as_variables()
    assert engine.pop("device") == "gpu"
    assert load(VllmSettings, {**engine, "environment": "/e"}, "x").tensor_parallel == 8


def test_what_is_accepted_here_is_accepted_by_the_model_package() -> None:
    settings = settings_of(
        recipe={
            "rank": 1024,
            "alpha": 32,
            "learning_rate": "1e-4",
            "epochs": 2,
            "max_steps": 1,
            "dtype": "bf16",
        },
        gate={"minimum_gain": 0, "confidence": 0.999, "resamples": 100},
        serving={
            "limits": {"body_bytes": 1024, "idle_seconds": 1},
            "engine": {"threads": 1, "compile": "off"},
        },
    )
    assert load(Recipe, settings.recipe.as_variables(), "x").learning_rate == 1e-4
    assert load(GateSettings, settings.gate.as_variables(), "x").resamples == 100
    assert load(Limits, settings.serving.limits.as_variables(), "x").body_bytes == 1024
    assert load(EngineSettings, settings.serving.engine.as_variables(), "x").threads == 1
