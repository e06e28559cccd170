"""A picture of a real `make up`, for the README: the lines of its log that show what happens, in a terminal.

make up 2>&1 | tee run.log; python -m tests.run_picture run.log docs/pictures/run.svg
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TITLE = "make up in a fresh clone, on two cores (… where lines are left out)"
_WIDTH, _MOST = 112, 108
_LEFT_OUT = "…"
_SHORTER = {
    "pulumi-python:dynamic/": "",
    "pulumi:pulumi:Stack model-deployment-scenarios-": "Stack ",
}
_SHOWN = re.compile(
    r"make up |  \S.*(?:first time|then seconds)|building |  pulumi\S* \S+ (?:\d+ packages)|engine: Pulumi|Updating|"
    r" \+  \S*Playbook \S+ created| \+  \S*TrainingRun \S+ created| \+  Stack \S+ creat\w+ \(\S+\) \S|"
    r"Resources:|    \+ \d|Duration|  (?:question|answer|release|gate|endpoint)  |            \S|\S+ is up"
)
"""What is shown, by the line's beginning, once names are shorter."""
_REPEATED = re.compile(r"packages compiled, |: step \d+/")
"""Of lines with these there are many: the first, the middle and the last show the progress."""
_ASKED = re.compile(r"  (question|answer|release|gate|endpoint)  ")
# Whoever looks at the picture would load them from elsewhere.
_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def abridged(log: str) -> Iterator[str]:
    """Return the log's lines to show, with a sign in place of those left out; machines' paths are shown nowhere."""
    during, _, after = log.partition("\nDiagnostics:")  # there Pulumi repeats it all
    result = after[after.find("\nResources:") :]
    told = [_shortened(line.rstrip()) for line in f"{during}\n{result}".splitlines()]
    kept = set(_chosen(told))
    before = -1
    for number, line in enumerate(told):
        if number in kept:
            if number > before + 1 and any(told[before + 1 : number]):
                yield _LEFT_OUT
            yield line if len(line) <= _MOST else f"{line[:_MOST]}{_LEFT_OUT}"
            before = number


def _shortened(text: str) -> str:
    for long, short in _SHORTER.items():
        text = text.replace(long, short)
    return re.sub(r" in /\S+", "", text)


def _chosen(lines: Iterable[str]) -> Iterator[int]:
    repeated: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        if found := _REPEATED.search(line):
            repeated.setdefault(re.sub(r"\d+", "", found[0]), []).append(number)
        elif _SHOWN.match(line):
            yield number
    for numbers in repeated.values():
        yield from {numbers[0], numbers[len(numbers) // 2], numbers[-1]}


def picture(log: str) -> str:
    """Return the picture, an SVG that loads nothing."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO())
    console.print(Text("$ make up", "bold green"))
    for line in abridged(log):
        text = Text(line, "dim" if line == _LEFT_OUT else "")
        text.highlight_regex(r"^ \+ ", "cyan")
        text.highlight_regex(_ASKED, "bold yellow")
        console.print(text)
    return _FONTS.sub("", console.export_svg(title=_TITLE))


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log", type=Path)
    parser.add_argument("svg", type=Path)
    options = parser.parse_args()
    options.svg.write_text(picture(options.log.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
