"""A second release beside the one that is served: its share, its judgement, and that no client suffers from it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from scenario_model.canary.judge import Outcome
from scenario_model.errors import Refused
from scenario_model.serve.beside import Beside
from scenario_model.serve.canary import Canary
from scenario_model.serve.engine.interface import EngineFailed
from scenario_model.serve.feedback import Feedback
from scenario_model.serve.gateway import Gateway
from scenario_model.serve.settings import ApiKeys, CanaryHere, HashedKey, Limits
from tests.model.serve.conftest import KEY, RELEASE
from tests.model.serve.stand_in import StandInEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from scenario_model.serve.service import Service

pytestmark = pytest.mark.anyio
NEXT = "assistant@sha256:" + "cd" * 32


class Engine(StandInEngine):
    """The stand-in with what a server needs of an engine besides."""

    stopped = False

    def start(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True

    async def drain(self, seconds: float) -> None:
        pass


class Broken(Engine):
    """Produces its first token, at loading, and then fails."""

    asked = 0

    async def submit(self, request: Any) -> Any:
        self.asked += 1
        if self.asked > 1:
            raise EngineFailed("it is broken")
        return await super().submit(request)


class World:
    """A gateway with a canary, and the file that names it."""

    def __init__(self, service: Service, folder: Path, share: float = 0.5) -> None:
        self.file, self.state = folder / "canary", folder / "state"
        self.engine: Engine = Engine()
        self.loaded: list[str] = []
        settings = CanaryHere(file=self.file, state=self.state, share=share)
        self.canary = Canary(settings, RELEASE, self.load)
        hashed = HashedKey(id="default", sha256=hashlib.sha256(KEY.encode()).hexdigest())
        limits = Limits(requests_per_minute=None)
        feedback = Feedback(
            limits, lambda arm, rating: self.canary.outcome(arm, Outcome(bad=rating == "bad"))
        )
        beside = Beside(canary=self.canary, feedback=feedback)
        self.gateway = Gateway(service, ApiKeys(keys=(hashed,)), limits, (), beside)

    def load(self, release: str) -> Any:
        self.loaded.append(release)
        if release != NEXT:
            raise Refused("does not verify", where=release)
        return self.engine

    @contextlib.asynccontextmanager
    async def led(self) -> AsyncIterator[httpx.AsyncClient]:
        watching = asyncio.create_task(self.canary.watch())
        transport = httpx.ASGITransport(self.gateway)
        headers = {"Authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(transport=transport, base_url="https://test", headers=headers) as client:
            yield client
        watching.cancel()

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(60):
            while not true():  # noqa: ASYNC110 it is a file that changes
                await asyncio.sleep(0.02)

    def told(self) -> dict[str, Any]:
        with contextlib.suppress(OSError):
            found: dict[str, Any] = json.loads((self.state / "canary.json").read_text())
            return found
        return {}


@pytest.fixture
def world(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("scenario_model.serve.canary._LOOKS_SECONDS", 0.02)
    return World(service, tmp_path)


async def ask(client: httpx.AsyncClient, number: int, **more: Any) -> httpx.Response:
    body = {"model": "assistant", "prompt": f"conversation {number}", "max_tokens": 3} | more
    return await client.post("/v1/completions", json=body)


async def test_it_answers_its_share_of_the_conversations_and_each_stays_where_it_began(world: World) -> None:
    world.file.write_text(NEXT)
    async with world.led() as client:
        await world.until(lambda: world.canary.state == "judging")
        first = [(await ask(client, number)).headers["x-release"] for number in range(100)]
        again = [(await ask(client, number)).headers["x-release"] for number in range(100)]
        assert first == again
        assert 30 < first.count(NEXT) < 70
        named = await ask(client, 1, model=RELEASE)
        assert named.headers["x-release"] == RELEASE, "who asks for one release gets that one"
        await world.until(lambda: world.told()["canary"] == 2 * first.count(NEXT))
        assert world.told()["running"] == 2 * first.count(RELEASE) + 1
        assert world.told()["worse"] == []


async def test_without_one_everything_is_as_before_and_it_goes_when_the_file_names_none(world: World) -> None:
    async with world.led() as client:
        assert (await ask(client, 1)).headers["x-release"] == RELEASE
        world.file.write_text(NEXT)
        await world.until(lambda: world.canary.state == "judging")
        world.file.unlink()
        await world.until(lambda: world.engine.stopped)
        answers = [await ask(client, number) for number in range(20)]
        assert {answer.headers["x-release"] for answer in answers} == {RELEASE}
        world.file.write_text(RELEASE)
        await asyncio.sleep(0.1)
        assert world.loaded == [NEXT], "the running release is no canary"


async def test_what_it_does_not_answer_the_running_release_does_and_it_is_stopped(world: World) -> None:
    world.engine = Broken()
    world.file.write_text(NEXT)
    async with world.led() as client:
        await world.until(lambda: world.canary.state == "judging")
        for number in range(60):
            answer = await ask(client, number, stream=bool(number % 2))
            assert answer.status_code == 200
            assert answer.headers["x-release"] == RELEASE
        assert world.canary.state == "worse"
        await world.until(lambda: world.told()["state"] == "worse")
        assert world.told()["worse"] == ["errors"]
        assert world.engine.stopped


async def test_one_that_knows_what_is_asked_less_well_is_stopped(world: World) -> None:
    world.file.write_text(NEXT)
    async with world.led():
        assert world.canary.engine is None
        await world.until(lambda: world.canary.state == "judging")
        assert world.canary.engine is world.engine
        for _ in range(40):
            world.canary.difference(0.2)
        await world.until(lambda: world.told()["state"] == "worse")
        assert world.told()["worse"] == ["loss"]
        assert world.canary.engine is None


async def test_one_that_does_not_load_is_told_and_not_tried_again(world: World) -> None:
    world.file.write_text(NEXT.replace("cd", "ef"))
    async with world.led() as client:
        await world.until(lambda: world.told().get("state") == "failed")
        assert "does not verify" in world.told()["why"]
        assert (await ask(client, 1)).status_code == 200
        await asyncio.sleep(0.1)
    assert len(world.loaded) == 1


async def test_a_restart_goes_on_from_what_was_found(world: World, service: Service, tmp_path: Path) -> None:
    world.engine = Broken()
    world.file.write_text(NEXT)
    async with world.led() as client:
        await world.until(lambda: world.canary.state == "judging")
        for number in range(60):
            await ask(client, number)
        await world.until(lambda: world.told()["state"] == "worse")
    again = World(service, tmp_path)
    async with again.led():
        await again.until(lambda: again.canary.state == "worse")
    assert again.loaded == [], "what was found to be worse is not tried again"


async def test_answers_are_rated_once_by_who_got_them(world: World) -> None:
    world.file.write_text(NEXT)
    async with world.led() as client:
        await world.until(lambda: world.canary.state == "judging")
        for number in range(40):
            answer = await ask(client, number)
            rating = "bad" if answer.headers["x-release"] == NEXT else "good"
            told = {"id": answer.json()["id"], "rating": rating}
            rated = await client.post("/v1/feedback", json=told)
            assert (rated.status_code, rated.text) == (204, "")
            assert (await client.post("/v1/feedback", json=told)).status_code == 404
        await world.until(lambda: world.told()["state"] == "worse")
        assert world.told()["worse"] == ["feedback"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"id": "x", "rating": "good"}, 404, "No answer of that 'id'"),
        ({"id": 5, "rating": "good"}, 404, "No answer of that 'id'"),
        ({"id": "x", "rating": "fine"}, 400, "'rating' must be"),
        ({"id": "x", "rating": "bad", "text": "secret"}, 400, "Unknown field 'text'"),
        ({}, 400, "'rating' must be"),
    ],
)
async def test_feedback_that_is_none_is_refused(
    world: World, body: dict[str, Any], status: int, words: str
) -> None:
    async with world.led() as client:
        answer = await client.post("/v1/feedback", json=body)
        assert answer.status_code == status
        assert words in answer.json()["error"]["message"]
