"""From two models' scores to a verdict: a paired bootstrap over documents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from scenario_model.config import dump
from scenario_model.data.settings import FEWEST_HELD_OUT

if TYPE_CHECKING:
    from scenario_model.evaluate.settings import GateSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One domain: each document's scored UTF-8 bytes, and the bits each model needs for them."""

    bytes: list[int]
    parent: list[float]
    candidate: list[float]


def decide(new: Scores, old: Scores, gate: GateSettings) -> dict[str, Any]:
    """The verdict as plain JSON types: passed, reasons (why not; empty if passed), and both domains' figures.

    Figures are bits per byte over all documents of a domain. Passed means: at the given confidence the
    candidate gains more than `minimum_gain` on the new domain, and loses no more than `old_domain_margin` on
    the old one.
    """
    new_figures = _figures(new, gate, relative=False)
    old_figures = {**_figures(old, gate, relative=True), "margin": gate.old_domain_margin}
    reasons = [
        f"{domain}: only {figures['documents']} documents, too few for a verdict; hold out at least "
        f"{FEWEST_HELD_OUT}"
        for domain, figures in (("new domain", new_figures), ("old domain", old_figures))
        if figures["documents"] < FEWEST_HELD_OUT
    ]
    # Written so that NaN fails.
    if not new_figures["interval"][1] < -gate.minimum_gain:
        reasons.append(_no_gain(new_figures, gate))
    if not old_figures["interval"][1] <= gate.old_domain_margin:
        reasons.append(_too_much_lost(old_figures, gate))
    return {
        "passed": not reasons,
        "reasons": reasons,
        "unit": "bits per byte",
        "new_domain": new_figures,
        "old_domain": old_figures,
        "gate": dump(gate),
    }


def _figures(scores: Scores, gate: GateSettings, *, relative: bool) -> dict[str, Any]:
    """`difference` is candidate minus parent (`relative`: as a share of parent's), `interval` its bounds."""
    sizes = np.array(scores.bytes, dtype=np.float64)
    parent, candidate = np.array(scores.parent), np.array(scores.candidate)
    random = np.random.default_rng(gate.seed)
    drawn = random.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=gate.resamples)
    differences = _difference(drawn @ sizes, drawn @ parent, drawn @ candidate, relative=relative)
    tail = _tail(gate.confidence, len(sizes))
    low, high = np.quantile(differences, [tail, 1 - tail])
    total = sizes.sum()
    return {
        "parent": float(parent.sum() / total),
        "candidate": float(candidate.sum() / total),
        "difference": float(_difference(total, parent.sum(), candidate.sum(), relative=relative)),
        "interval": [float(low), float(high)],
        "documents": len(sizes),
        "bytes": int(total),
    }


def _tail(confidence: float, documents: int) -> float:
    """The quantile to cut off at each end of the bootstrap distribution, below nominal for few documents.

    Percentile intervals are too narrow for small samples; this widens them as much as Student's t does over
    the normal distribution (Hesterberg, The American Statistician 69(4), 2015, section 4.3: expanded
    percentiles).
    """
    freedom = max(documents - 1, 1)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    # Student's quantile from the normal one: Abramowitz and Stegun 26.7.5.
    student = (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
    return NormalDist().cdf(-math.sqrt((freedom + 1) / freedom) * student)


def _difference(sizes: Any, parent: Any, candidate: Any, *, relative: bool) -> Any:
    """Of arrays or of single numbers."""
    return (candidate - parent) / (parent if relative else sizes)


def _no_gain(figures: dict[str, Any], gate: GateSettings) -> str:
    return (
        f"new domain: {_both(figures)}; at {gate.confidence:.1%} confidence the difference is within "
        f"{_interval(figures, '{:+.4f}')}, and its upper end must be below {-gate.minimum_gain:+.4f}"
    )


def _too_much_lost(figures: dict[str, Any], gate: GateSettings) -> str:
    return (
        f"old domain: {_both(figures)}; at {gate.confidence:.1%} confidence it is worse by "
        f"{_interval(figures, '{:+.2%}')}, and the upper end must not exceed {gate.old_domain_margin:+.2%}"
    )


def _both(figures: dict[str, Any]) -> str:
    return f"{figures['candidate']:.4f} bits per byte against the parent's {figures['parent']:.4f}"


def _interval(figures: dict[str, Any], form: str) -> str:
    return "[{}, {}]".format(*(form.format(bound) for bound in figures["interval"]))
