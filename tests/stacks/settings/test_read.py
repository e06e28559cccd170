"""Every mistake in a stack's file: one line that names the file, the key, and what would be right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from stacks.s3_local import Settings
from stacks.settings.read import PROJECT, SettingsError, read_settings

STACK_FILE = Path(__file__).parents[3] / "stacks" / "Pulumi.s3-local.yaml"


def settings_of(**sections: Any) -> Settings:
    """Settings as Pulumi hands them over: structured values as JSON text."""
    return read_settings(
        Settings,
        "s3-local",
        {f"{PROJECT}:{name}": json.dumps(value) for name, value in sections.items()},
    )


def mistake(config: dict[str, str], secret_keys: tuple[str, ...] = ()) -> str:
    with pytest.raises(SettingsError) as error:
        read_settings(Settings, "s3-local", config, secret_keys)
    return str(error.value)


def test_nothing_set_is_a_complete_configuration() -> None:
    settings = read_settings(Settings, "s3-local", {})
    assert settings.foundation.kind == "packaged"
    assert settings.recipe.as_given() == {}
    assert settings.premises.inventory == "ansible/inventory/localhost.yml"


def test_the_stack_file_in_the_repository_is_valid() -> None:
    config = yaml.safe_load(STACK_FILE.read_text(encoding="utf-8"))["config"]
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    assert read_settings(Settings, "s3-local", texts).serving.port == 8443


@pytest.mark.parametrize(
    ("section", "value", "expected"),
    [
        ("recipe", {"ranks": 1}, "unknown key 'recipe.ranks'; did you mean 'rank'?"),
        ("recipe", {"rank": 0}, "key 'recipe.rank' is 0; it must be at least 1"),
        ("recipe", {"rank": "many"}, "key 'recipe.rank' is \"many\"; it must be a whole number"),
        ("recipe", {"rank": True}, "key 'recipe.rank' is true; it must be a whole number"),
        ("recipe", {"learning_rate": -1}, "key 'recipe.learning_rate' is -1; it must be above 0"),
        ("recipe", {"dtype": "fp8"}, 'is "fp8"; use one of "auto", "bf16", "fp32"'),
        ("recipe", [1], "key 'recipe' is a list; it must be an object with keys"),
        ("serving", {"port": "many"}, "key 'serving.port' is \"many\"; it must be a whole number"),
        ("serving", {"port": 70000}, "key 'serving.port' is 70000; it must be at most 65535"),
        (
            "serving",
            {"engine": {"wieght": "int8"}},
            "unknown key 'serving.engine.wieght'; did you mean 'weights'?",
        ),
        (
            "serving",
            {"engine": {"dtype": "bf16"}},
            'key \'serving.engine.dtype\' belongs to kind "vllm"; this is kind "torch"',
        ),
        (
            "serving",
            {"engine": {"kind": "vllm", "prompt_lookup": "on"}},
            'prompt_lookup\' belongs to kind "torch"; this is',
        ),
        (
            "serving",
            {"engine": {"kind": "vlm"}},
            'key \'serving.engine.kind\' is "vlm"; use one of "torch", "vllm"',
        ),
        (
            "serving",
            {"engine": {"kind": "vllm", "tensor_parallel": 0}},
            "key 'serving.engine.tensor_parallel' is 0; it must be at least 1",
        ),
        (
            "serving",
            {"engine": {"kind": "vllm", "device": "cpu"}},
            "key 'serving.engine.requirements' is missing; device cpu needs the lock",
        ),
        ("data", {"kind": "chat"}, "key 'data.path' is missing; add it"),
        (
            "data",
            {"kind": "chat", "path": "a/b"},
            "key 'data.path' is \"a/b\"; it must be an absolute path on the hosts",
        ),
        ("data", {"kind": "csv"}, 'is "csv"; use one of "python-reference", "chat", "text"'),
        (
            "data",
            {"kind": "text", "path": "/a", "held_out": 0.9},
            "key 'data.held_out' is 0.9; it must be at most 0.5",
        ),
        ("foundation", {"kind": "gguf", "pth": "/a"}, "unknown key 'foundation.pth'; did you mean 'path'?"),
        ("release", {"name": "My Release"}, "key 'release.name' is \"My Release\"; use 1 to 64 of a-z"),
        ("gate", {"confidence": 1.5}, "key 'gate.confidence' is 1.5; it must be at most 0.999"),
    ],
)
def test_a_mistake_is_one_line_that_names_file_and_key(section: str, value: object, expected: str) -> None:
    line = mistake({f"{PROJECT}:{section}": json.dumps(value)})
    assert line.startswith("stacks/Pulumi.s3-local.yaml: ")
    assert expected in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({f"{PROJECT}:reciep": "{}"}, "unknown key 'reciep'; did you mean 'recipe'?"),
        ({f"{PROJECT}:recipe": "16"}, "key 'recipe' is 16; it must be an object with keys"),
        ({"premises:inventry": "x"}, "unknown key 'premises:inventry'; did you mean 'inventory'?"),
        (
            {"premises:previewCheck": "maybe"},
            "key 'premises:previewCheck' is \"maybe\"; it must be true or false",
        ),
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
    assert read_settings(Settings, "s3-local", {"pulumi:tags": "{}"}) == read_settings(
        Settings, "s3-local", {}
    )


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        read_settings(Settings, "s3-local", {}).serving.port = 1


def test_what_was_left_out_keeps_the_default_of_whoever_reads_it() -> None:
    limits = {"requests_per_minute": None, "idle_seconds": 1}
    settings = settings_of(
        serving={"limits": limits, "engine": {"threads": 1}}, recipe={"learning_rate": 1e-4}
    )
    assert settings.serving.as_given() == {"limits": limits, "engine": {"threads": 1}}
    assert settings.recipe.as_given() == {"learning_rate": 1e-4}


def test_a_number_or_a_boolean_may_come_as_text_where_a_text_may_not() -> None:
    given = {"premises:previewCheck": "true", "premises:root": "7", f"{PROJECT}:scenario": "s3-local"}
    settings = read_settings(Settings, "s3-local", given)
    assert (settings.premises.preview_check, settings.premises.root) == (True, "7")
