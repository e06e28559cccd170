"""The README's picture of a run: the lines that show what happens, of no machine, and loaded from nowhere."""

from __future__ import annotations

import re
from pathlib import Path

from tests.run_picture import abridged, picture

STACK = "pulumi:pulumi:Stack model-deployment-scenarios-s3-local creating"
STEPS = [
    f" +  {STACK} ({9 + step}s) localhost: step {step}/9, loss 2.0, 140 tokens/s" for step in range(1, 10)
]
LOG = "\n".join(
    [
        "make up brings s3-local up",
        "engine: no download: Name or service not known",
        "engine: Pulumi 3.259.0 in /somewhere/build (build)",
        "Updating (s3-local):",
        " +  pulumi-python:dynamic/credentials:ApiKey client created (0.00s) ",
        *STEPS,
        " +  pulumi-python:dynamic/premises:TrainingRun training created (436s) ",
        "Policies:",
        "    model-deployment-scenarios@v1.0.0 (local: /somewhere/policies/pack)",
        "",
        "Diagnostics:",
        *(step.partition(") ")[2] for step in STEPS),
        "",
        "Resources:",
        "    + 9 created",
        "  gate      held-out topics: 0.8469 -> 0.7811 bits per byte",
        "s3-local is up, after 12 min 35 s.",
    ]
)


def test_a_long_log_is_cut_to_what_happens_and_says_where() -> None:
    assert list(abridged(LOG)) == [
        "make up brings s3-local up",
        "…",
        "engine: Pulumi 3.259.0 (build)",
        "Updating (s3-local):",
        "…",
        " +  Stack s3-local creating (10s) localhost: step 1/9, loss 2.0, 140 tokens/s",
        "…",
        " +  Stack s3-local creating (14s) localhost: step 5/9, loss 2.0, 140 tokens/s",
        "…",
        " +  Stack s3-local creating (18s) localhost: step 9/9, loss 2.0, 140 tokens/s",
        " +  premises:TrainingRun training created (436s)",
        "…",
        "Resources:",
        "    + 9 created",
        "  gate      held-out topics: 0.8469 -> 0.7811 bits per byte",
        "s3-local is up, after 12 min 35 s.",
    ]


def test_the_picture_loads_nothing_nor_does_the_one_in_the_readme() -> None:
    shipped = Path(__file__).parents[1] / "docs" / "pictures" / "run.svg"
    for drawn in (picture(LOG), shipped.read_text(encoding="utf-8")):
        assert not re.search(r"(?:url\(|href=|src=)[\"']?https?:|@font-face|@import", drawn)
        assert "gate" in drawn
