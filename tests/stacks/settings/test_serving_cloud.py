"""Settings of a serving stack's cloud side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scenario_model.config import load
from scenario_model.errors import InputError
from scenario_model.serve.settings import Serving
from scenario_model.signing import keys
from stacks.settings.serving_cloud import Endpoint

if TYPE_CHECKING:
    from pathlib import Path


def test_traffic_is_watched_on_the_premises_and_never_by_a_hosted_endpoint(tmp_path: Path) -> None:
    keys.create_pair(tmp_path / "reader.pem", tmp_path / "reader.pub")
    public = (tmp_path / "reader.pub").read_text().strip()
    told = {"observation": {"kept_text": {"recipient": public, "days": 7}}}
    assert load(Serving, told, "stack").as_given() == told, "a site's server gets it as it is"
    for asked in (told, {"observation": {"window_seconds": 60.0}}):
        with pytest.raises(InputError, match=r"key 'serving\.observation' is given, but .*; remove it"):
            load(Endpoint, {"host": "10.9.0.5", "serving": asked}, "stack")
