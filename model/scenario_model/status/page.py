"""The page itself: three charts, the history, and the promise behind the thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from scenario_model.status.charts import drift, legend, served, traffic, training, training_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenario_model.observe.windows import Window

_SHOWN = 400
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 46rem; margin: 0 auto; }
main { padding: 1rem; }
h1 { font-size: 1.3rem; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
svg { width: 100%; height: auto; overflow: visible; font: 12px system-ui, sans-serif; fill: #1a1a1a; }
code { overflow-wrap: anywhere; }
td code { white-space: nowrap; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid #ddd; }
.legend { list-style: none; padding: 0; margin: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .9rem; }
.legend span { display: inline-block; width: .8rem; height: .8rem; margin-right: .3rem; }
.state { padding: .5rem .8rem; border-left: 5px solid #2f6b2f; background: #f3f7f3; }
.warning { border-color: #b35900; background: #fbf5ee; }
.retraining { border-color: #a00000; background: #fbf0f0; }
@media (max-width: 34rem) { svg { font-size: 18px; } }
@media print { body { max-width: none; } }
"""
_STILL = '<a href="?live">Renew this page every 30 seconds</a>'
_LIVE = 'It renews itself every 30 seconds. <a href="?">Stop that</a>'
_STATES = {
    "nothing": "Nothing unusual in what is asked.",
    "warning": "One detector alarms: traffic may be changing.",
    "retraining": "Detectors agree: traffic is not what this release was made for.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the page shows.

    Attributes:
        release: what is served.
        windows: the oldest first.
        history: events, the newest first: time, what, release, why.
        canary: how a canary does; empty if there is none.
        promise: what detectors promise, in sentences.
        curve: of the last training here: step, loss, learning rate and tokens per second; empty if there was none.
        gate: what came of it.

    """

    release: str
    windows: Sequence[Window]
    history: Sequence[tuple[str, str, str, str]]
    canary: dict[str, Any]
    promise: Sequence[str]
    curve: Sequence[Sequence[float]] = ()
    gate: str = ""


def page(facts: Facts, *, live: bool = False) -> str:
    """Return the page as HTML. `live`: it renews itself, which only who asked for it can be expected to follow."""
    windows = facts.windows[-_SHOWN:]
    name = escape(facts.release.partition("@")[0])
    parts = [f"<h1>Status of {name}</h1><p><small><code>{escape(facts.release)}</code></small></p>"]
    if windows:
        asks = windows[-1].asks
        parts.append(f'<p class="state {escape(asks)}" role="status">{_STATES.get(asks, escape(asks))}</p>')
    parts += _canary(facts.canary)
    if windows:
        parts += ["<h2>What was served when</h2>", served(windows)]
        parts += ["<h2>Traffic and latency</h2>", traffic(windows)]
        parts.append(legend(["median time to the first token", "99th percentile"]))
        parts.append("<p>Bars: requests of each window; grey: refused, red: failed.</p>")
        parts += _asked(windows)
        names = list(dict.fromkeys(name for window in windows for name, _, _ in window.signals))
        if names:
            parts += ["<h2>Drift</h2>", drift(windows), legend(names)]
            parts.append("".join(f"<p>{escape(each[0].upper() + each[1:])}.</p>" for each in facts.promise))
        else:
            parts.append("<h2>Drift</h2><p>This release has no baseline, so drift is not looked for.</p>")
    else:
        parts.append("<p>No window is over yet.</p>")
    if len(facts.curve) > 1:
        parts += ["<h2>The last training</h2>", training(facts.curve), legend(training_names(facts.curve))]
        parts.append(f"<p>The gate: {escape(facts.gate)}.</p>")
    parts += _history(facts.history)
    parts.append(f"<p>{_LIVE if live else _STILL}</p>")
    body, renews = "".join(parts), '<meta http-equiv="refresh" content="30">' if live else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{renews}'
        f"<title>Status</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>"
    )


def _asked(windows: Sequence[Window]) -> list[str]:
    """How long what is asked and answered is, and how well the model knows it: of the last window with requests."""
    last = next(
        (window for window in reversed(windows) if window.prompt_tokens and window.answer_tokens), None
    )
    if last is None or last.prompt_tokens is None or last.answer_tokens is None:
        return []
    lengths = [
        f"{middle:,.0f} tokens ({late:,.0f})" for middle, late in (last.prompt_tokens, last.answer_tokens)
    ]
    words = f"Median (and 99th percentile) of the last window: prompts {lengths[0]}, answers {lengths[1]}."
    known = next((window.loss for window in reversed(windows) if window.loss is not None), None)
    if known is not None:
        words += f" The model needs {known:.2f} bits per byte for what it is asked."
    return [f"<p>{words}</p>"]


def _canary(told: dict[str, Any]) -> list[str]:
    if not told.get("release"):
        return []
    numbers = f"{told['canary']} requests beside {told['running']} of the running release"
    why = f": {told['why']}" if told.get("why") else ""
    words = f"Canary {told['release']} — {told['state']}{why}; {numbers}."
    return [f'<p class="state warning">{escape(words)}</p>']


def _history(history: Sequence[tuple[str, str, str, str]]) -> list[str]:
    if not history:
        return []
    rows = "".join(
        f"<tr><td>{escape(at[:16].replace('T', ' '))}</td><td>{escape(what)}</td>"
        f"<td><code>{escape(release.rpartition(':')[2][:8])}</code></td><td>{escape(why)}</td></tr>"
        for at, what, release, why in history
    )
    head = "<tr><th scope=col>when</th><th scope=col>what</th><th scope=col>release</th><th scope=col>why</th></tr>"
    return [f"<h2>Why it changed</h2><table><thead>{head}</thead><tbody>{rows}</tbody></table>"]
