"""What a part of the GPU check gets to work with, and how it hands figures back before it has ended."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / "ansible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One part's surroundings.

    device: `cuda` or `cpu`. out: folder for recordings. scratch: folder that is removed after the check.
    deadline: `time.monotonic()` at which the part is killed.
    """

    part: str
    device: str
    out: Path
    scratch: Path
    deadline: float

    @property
    def gpu(self) -> bool:
        """Whether the part runs on a GPU, so with the large shapes."""
        return self.device == "cuda"

    @property
    def noted(self) -> Path:
        """The file that holds the part's result so far."""
        return self.scratch / f"{self.part}.json"

    def remaining(self) -> float:
        """Seconds until the part is killed."""
        return self.deadline - time.monotonic()

    def torch_device(self) -> torch.device:
        """The device for torch; raises RuntimeError where it is to be a GPU and torch sees none."""
        import torch

        if self.gpu and not torch.cuda.is_available():
            raise RuntimeError("torch sees no GPU; check the driver, or use --device cpu")
        return torch.device(self.device)

    def note(self, result: dict[str, Any]) -> None:
        """Keep the result so far: it survives a crash or the time limit."""
        write_json(self.noted, result)

    def record(self, name: str, text: str) -> str:
        """Write a recording beside the results, unless it is empty; returns its name."""
        if text:
            (self.out / name).write_text(text, encoding="utf-8")
        return name


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file in one step, so that a reader never sees half of it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(content, indent=2, allow_nan=True) + "\n", encoding="utf-8")
    aside.replace(path)


def figure(
    name: str, value: object, unit: str = "", *, aim: str = "", met: bool | None = None
) -> dict[str, Any]:
    """One line of the table: a value in `unit`, its aim, and whether it is met (None: no verdict)."""
    return {"name": name, "value": value, "unit": unit, "aim": aim, "met": met}


def first_line(error: BaseException | str) -> str:
    """An error as one line of at most 300 characters; an exception starts with its type."""
    text = str(error).strip()
    line = text.splitlines()[0] if text else ""
    if isinstance(error, BaseException):
        line = f"{type(error).__name__}: {line}" if line else type(error).__name__
    return line[:300]
