"""What a lifecycle does next, from its history and from what the server's windows say. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from scenario_model.release.lifecycle_journal import ENDS, retrainings_since

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenario_model.lifecycle.settings import Lifecycle
    from scenario_model.observe.windows import Window
    from scenario_model.release.lifecycle_journal import Entry

Do = Literal["watch", "ask", "wait", "approve", "train", "try", "judge", "settle"]
_MONTH_SECONDS = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Next:
    """What to do, and why; `evidence`: numbers for the history."""

    do: Do
    why: str
    evidence: dict[str, Any] = field(default_factory=dict)


def next_after(
    entries: Sequence[Entry], windows: Sequence[Window], settings: Lifecycle, running: str, now: float
) -> Next:
    """Decide. `windows`: the oldest first; of other releases than `running` they say nothing."""
    last = entries[-1] if entries else None
    if last is None or last.event in ENDS:
        return _watch(entries, windows, settings, running, now)
    if last.event == "asked":
        if settings.approval == "person":
            return Next("wait", "a person has to approve retraining: `scenario-model lifecycle approve`")
        return Next("approve", "approved by the settings")
    if last.event == "approved":
        return Next("train", last.why)
    if last.event == "trained":
        return Next("try", last.why)
    if last.event in ("tried", "held"):
        return Next("judge", last.why)
    return Next("settle", last.why)


def _watch(
    entries: Sequence[Entry], windows: Sequence[Window], settings: Lifecycle, running: str, now: float
) -> Next:
    of_this = [window for window in windows if window.release == running]
    if not of_this:
        return Next("watch", "no window of the running release is over yet")
    if not of_this[-1].signals:
        return Next("watch", "the running release has no baseline, so drift is not looked for")
    latest = of_this[-settings.windows :]
    enough = ("retraining",) if settings.retrain_on == "agreement" else ("retraining", "warning")
    asking = sum(window.asks in enough for window in latest)
    if asking < settings.windows:
        said = of_this[-1].asks
        words = {"nothing": "nothing unusual"}
        if settings.retrain_on == "agreement":
            words["warning"] = "one detector alone warns"
        return Next("watch", words.get(said, f"{asking} of {settings.windows} windows in a row ask"))
    if entries and now < entries[-1].time + settings.cool_down_seconds:
        left = entries[-1].time + settings.cool_down_seconds - now
        return Next("watch", f"retraining is asked for, and {left:.0f} s of the cool-down are left")
    if retrainings_since(entries, now - _MONTH_SECONDS) >= settings.retrainings:
        return Next(
            "watch", f"retraining is asked for, and all {settings.retrainings} of thirty days were used"
        )
    alarms = [name for name, value, threshold in of_this[-1].signals if value >= threshold]
    evidence = {name: [value, threshold] for name, value, threshold in of_this[-1].signals}
    return Next("ask", f"{_said_by(alarms)} that traffic has drifted", evidence)


def _said_by(detectors: Sequence[str]) -> str:
    return f"{' and '.join(detectors)} {'agree' if len(detectors) > 1 else 'says'}"
