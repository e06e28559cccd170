"""Reads the container configuration of a Containerfile's last stage."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

from lab.images.archive import Config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def config_of(containerfile: Path, labels: Mapping[str, str]) -> Config:
    """Read ENV, USER and ENTRYPOINT (in its JSON form), and add labels.

    Source: <https://docs.docker.com/reference/dockerfile/>; later instructions win, FROM resets.
    """
    environment: dict[str, str] = {}
    entrypoint: list[str] = []
    user = ""
    text = re.sub(r"\\\n", " ", containerfile.read_text(encoding="utf-8"))
    for line in text.splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            environment, user, entrypoint = {}, "", []
        elif instruction == "ENV":
            environment |= dict(each.split("=", 1) for each in shlex.split(rest))
        elif instruction == "USER":
            user = rest.strip()
        elif instruction == "ENTRYPOINT":
            entrypoint = json.loads(rest)
    return Config(entrypoint=entrypoint, user=user, environment=environment, labels=labels)
