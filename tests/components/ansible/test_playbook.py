"""What a playbook is told, whichever way Pulumi hands it over."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pulumi.runtime import rpc

from components.ansible import playbook
from components.ansible.events import Report
from components.ansible.inventory import Inventory
from components.ansible.playbook import PlaybookArgs

if TYPE_CHECKING:
    import pytest

    from components.ansible.runner import PlaybookRun


def test_hosts_are_told_the_same_on_an_update_and_on_a_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def note(run: PlaybookRun) -> Report:
        told.append(json.dumps(run.variables))  # as roles do that take a digest of it
        return Report(playbook=run.playbook)

    monkeypatch.setattr(playbook, "run_playbook", note)
    monkeypatch.setattr(playbook, "settle_in", lambda: None)
    provider, where = playbook.PlaybookProvider(), {"playbook": "serve.yml", "inventory": "i.yml"}
    engine = {"weights": "fp32", "compile": "off", "threads": 1.0, "steps": [{"b": 2.0, "a": 0.5}]}
    provider.create({**where, "variables": {"serving": {"port": 8443.0, "engine": engine}}})
    stored = {"compile": "off", "steps": [{"a": 0.5, "b": 2}], "threads": 1, "weights": "fp32"}
    provider.read("serve", {**where, "variables": {"serving": {"engine": stored, "port": 8443}}})
    assert told[0] == told[1]
    assert '"port": 8443}' in told[0]


def test_a_null_that_was_set_is_told_to_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[PlaybookRun] = []

    def note(run: PlaybookRun) -> Report:
        told.append(run)
        return Report(playbook=run.playbook)

    monkeypatch.setattr(playbook, "run_playbook", note)
    monkeypatch.setattr(playbook, "settle_in", lambda: None)
    serving = {"limits": {"requests_per_minute": None, "connections": 8}, "names": ["a"]}
    inventory = Inventory(path=Path("i.yml"), digest="", hosts=(), groups={})
    args = PlaybookArgs(playbook="ansible/serve.yml", inventory=inventory, variables={"serving": serving})
    inputs = playbook.playbook_inputs(args)
    sent = asyncio.run(rpc.serialize_properties(inputs, {}))  # as Pulumi hands it over
    playbook.PlaybookProvider().create(rpc.deserialize_properties(sent))
    assert told[0].variables == {"serving": serving}
