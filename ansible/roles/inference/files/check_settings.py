"""Judge a serve.json on standard input as `scenario-model serve` would; say what is wrong in one line."""

from __future__ import annotations

import sys
from pathlib import Path

from scenario_model import config
from scenario_model.errors import ScenarioModelError
from scenario_model.serve.settings import ServeSettings

try:
    config.load_file(ServeSettings, Path("/dev/stdin"))
except ScenarioModelError as error:
    sys.exit(str(error).replace("/dev/stdin", "serving", 1))
