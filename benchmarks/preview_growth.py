"""How previews grow: `s4-cloud-serving` with 10 to 1,000 sites, `s2-cloud-training` with 1 to 64 nodes, each as new.

python -m benchmarks.preview_growth [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from previews.comment import comment
from previews.events import changes_of
from tests.previews.cases import OWN, hosts
from tests.previews.conftest import Stacks, verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable

_HOSTS, _NODES = (1, 10, 100, 1_000), (1, 16, 64)


def _nodes(number: int) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        config["cloud:nodes"] = {"instance_type": "g6.2xlarge", "maximum": number}
        config[f"{OWN}:training"]["pods"] = number

    return change


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    told: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        stacks = Stacks(Path(place))

        def measure(what: str, stack: str, change: Callable[[dict[str, Any]], None]) -> None:
            seconds = []
            for _ in range(options.rounds):
                began = time.monotonic()
                changes = changes_of(stacks.previewed(stack, {}, change))
                text = comment([verdict_of(stack, changes)])
                seconds.append(time.monotonic() - began)
            assert not changes.error, changes.error
            row = {"of": what, "resources": len(changes.changing), "characters": len(text)}
            row |= {"seconds": round(statistics.median(seconds), 1), "from": round(min(seconds), 1)}
            told.append(row | {"to": round(max(seconds), 1)})
            print(json.dumps(told[-1]), flush=True)

        for number in _HOSTS:
            named = {
                f"site-{each}": {"ansible_host": f"10.{each // 250}.0.{each % 250 + 1}"}
                for each in range(number)
            }
            measure(f"{number} sites", "s4-cloud-serving", hosts(Path(place), named))
        for number in _NODES:
            measure(f"{number} nodes", "s2-cloud-training", _nodes(number))
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
