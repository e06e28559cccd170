"""What s3-local says of a lifecycle that no one host could lead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from components.ansible.inventory import read_inventory
from components.errors import PremisesError
from scenario_model.evaluate.settings import GateSettings
from scenario_model.lifecycle.settings import Lifecycle
from stacks.s3_local import Settings, lifecycle_of

if TYPE_CHECKING:
    from pathlib import Path

    from components.ansible.inventory import Inventory


def inventory(folder: Path, **groups: list[str]) -> Inventory:
    hosts = {name: {"hosts": dict.fromkeys(members)} for name, members in groups.items()}
    file = folder / "hosts.yml"
    file.write_text(yaml.safe_dump({"premises": {"children": hosts}}))
    return read_inventory(file, groups=("training", "inference"))


def test_without_the_key_there_is_none(tmp_path: Path) -> None:
    assert (
        lifecycle_of("s3-local", Settings(), inventory(tmp_path, training=["a"], inference=["b", "c"])) == {}
    )


def test_one_host_that_trains_and_serves_leads_it_with_the_gate_of_the_stack(tmp_path: Path) -> None:
    settings = Settings(lifecycle=Lifecycle(approval="auto"), gate=GateSettings(minimum_gain=0.1))
    given = lifecycle_of("s3-local", settings, inventory(tmp_path, training=["a"], inference=["a"]))
    assert given == {"lifecycle": {"approval": "auto"}, "gate": {"minimum_gain": 0.1}}


@pytest.mark.parametrize("serving", [["b"], ["a", "b"]])
def test_more_hosts_are_one_clear_mistake(tmp_path: Path, serving: list[str]) -> None:
    with pytest.raises(
        PremisesError, match=r"s3-local: key 'lifecycle': one host leads it.*; leave the key out"
    ):
        lifecycle_of(
            "s3-local",
            Settings(lifecycle=Lifecycle()),
            inventory(tmp_path, training=["a"], inference=serving),
        )
