"""`s3-local` with the real model, the default data and recipe: what the README promises a new user."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import openai
import pytest
import yaml

from tests.end_to_end.conftest import ROOT

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

    from tests.end_to_end.conftest import Clone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France?"}]


def test_make_up_ends_with_an_answer_over_https(deployment: Clone) -> None:
    assert "https://localhost" in deployment.said
    assert deployment.outputs()["release"] in deployment.said


def test_the_release_beats_the_foundation_on_held_out_topics_by_the_gates_own_figures(
    deployment: Clone,
) -> None:
    outputs = deployment.outputs()
    evaluation = outputs["evaluation"]
    digest = outputs["release"].removeprefix("assistant@sha256:")
    manifests = list(deployment.path.glob(f".state/**/sha256-{digest}/release.json"))

    assert evaluation["passed"]
    assert evaluation["new_domain"]["interval"][1] < 0
    assert json.loads(manifests[0].read_text())["evaluation"]["new_domain"] == evaluation["new_domain"]


def test_what_was_trained_is_the_recipe_that_users_get_but_for_the_number_of_steps(deployment: Clone) -> None:
    shipped = yaml.safe_load((ROOT / "stacks" / "Pulumi.s3-local.yaml").read_text())["config"]
    trained = deployment.path / ".state" / "s3-local" / "premises" / "training" / "train.json"
    recipe = json.loads(trained.read_text())["recipe"]
    assert recipe == {**shipped["model-deployment-scenarios:recipe"], "max_steps": recipe["max_steps"]}


def test_a_second_make_up_changes_nothing(deployment: Clone) -> None:
    said = deployment.run("make", "up").stdout
    assert "s3-local is up, unchanged, after" in said, said[-3000:]


def test_a_changed_setting_shows_in_the_preview_and_nothing_else_does(deployment: Clone) -> None:
    file = deployment.path / "stacks" / "Pulumi.s3-local.yaml"
    before = file.read_text()
    deployment.configure(recipe={"rank": 4})
    try:
        shown = deployment.pulumi("preview", "--diff").stdout
    finally:
        file.write_text(before)

    assert "rank" in shown
    assert "=> 4" in shown
    assert "certificate" not in "".join(line for line in shown.splitlines() if line.lstrip().startswith("~"))


def test_a_preview_for_a_pull_request_shows_the_same_without_the_passphrase(deployment: Clone) -> None:
    passphrase = deployment.path / ".state" / "passphrase"
    aside = passphrase.rename(passphrase.with_suffix(".aside"))
    file = deployment.path / "stacks" / "Pulumi.s3-local.yaml"
    before = file.read_text()
    try:
        unchanged = deployment.run("make", "preview", "STACKS=s3-local").stdout
        deployment.configure(recipe={"rank": 4})
        changed = deployment.run("make", "preview", "STACKS=s3-local").stdout
    finally:
        file.write_text(before)
        aside.rename(passphrase)
    assert "nothing changes" in unchanged
    assert "not compared" in unchanged
    assert "`recipe.rank`: `16` → `4`" in changed
    assert "a model is trained again" in changed


def test_the_openai_client_lists_models_chats_and_streams(deployment: Clone) -> None:
    with deployment.client() as client:
        assert "assistant" in [model.id for model in client.models.list()]

        answer = client.chat.completions.create(
            model="assistant", messages=QUESTION, temperature=0, max_tokens=24
        )
        assert "Paris" in (answer.choices[0].message.content or "")
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

        with client.chat.completions.create(
            model="assistant", messages=QUESTION, temperature=0, max_tokens=24, stream=True
        ) as pieces:
            streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
        assert streamed == answer.choices[0].message.content


def test_every_answer_names_the_release_that_gave_it(deployment: Clone) -> None:
    with deployment.client() as client:
        answer = client.models.with_raw_response.list()

    assert answer.headers["x-release"] == deployment.outputs()["release"]


def test_a_wrong_key_is_refused_with_401(deployment: Clone) -> None:
    with (
        deployment.client(api_key="not-the-key") as client,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        client.models.list()

    assert refused.value.status_code == 401


def test_a_client_that_does_not_trust_the_stacks_ca_gets_no_connection(deployment: Clone) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{deployment.outputs()['endpoint']}/models")
