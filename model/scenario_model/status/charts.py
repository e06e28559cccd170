"""Charts as SVG: scale with the page, need no script and no file, and say in words what they show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenario_model.observe.windows import Window

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 170, 66, 24
# Readable by people who do not tell red from green, on white and in print.
COLOURS = ("#0b5fa5", "#b35900", "#5b2a86", "#2f6b2f")
_FLOOR, _CEILING = -4.0, 2.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Where times and values are on a chart: seconds since 1970, and values between two limits."""

    first: float
    last: float
    low: float
    high: float

    @classmethod
    def of(cls, windows: Sequence[Window], low: float, high: float) -> Frame:
        """A frame for some windows."""
        return cls(windows[0].start, windows[-1].start + windows[-1].seconds, low, high)

    def x(self, time: float) -> float:
        """From the left."""
        share = (time - self.first) / max(self.last - self.first, 1e-9)
        return round(_LEFT + share * (_WIDTH - _LEFT - 8), 1)

    def y(self, value: float) -> float:
        """From the top."""
        share = (min(max(value, self.low), self.high) - self.low) / max(self.high - self.low, 1e-9)
        return round((_HEIGHT - _BOTTOM) * (1 - share) + 6 * share, 1)

    def line(self, points: Sequence[tuple[float, float]], colour: str, dashes: str = "") -> str:
        """A line through points of time and value."""
        at = " ".join(f"{self.x(time)},{self.y(value)}" for time, value in points)
        style = f' stroke-dasharray="{dashes}"' if dashes else ""
        return f'<polyline points="{at}" fill="none" stroke="{colour}" stroke-width="2"{style}/>'

    def axes(self, ticks: Sequence[tuple[float, str]], ends: tuple[str, str] | None = None) -> str:
        """Labels of the values, and of the first and last time, or of these ends."""
        first, last = ends or (_clock(self.first), _clock(self.last))
        drawn = [
            f'<line x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{self.y(value)}" y2="{self.y(value)}" stroke="#ccc"/>'
            f'<text x="{_LEFT - 6}" y="{self.y(value) + 4}" text-anchor="end">{escape(words)}</text>'
            for value, words in ticks
        ]
        drawn.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">{first}</text>')
        drawn.append(f'<text x="{_WIDTH - 8}" y="{_HEIGHT - 6}" text-anchor="end">{last}</text>')
        return "".join(drawn)


def chart(title: str, words: str, drawn: Sequence[str], height: int = _HEIGHT) -> str:
    """An SVG with a title and a description for those who do not see it."""
    told = f"<title>{escape(title)}</title><desc>{escape(words)}</desc>"
    place = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
    letters = 'font-family="sans-serif" font-size="12"'  # a page's own style wins
    return f'<svg {place} {letters} role="img" aria-label="{escape(title)}">{told}{"".join(drawn)}</svg>'


def served(windows: Sequence[Window]) -> str:
    """Which release was served when, as a band."""
    frame, releases = Frame.of(windows, 0, 1), list(dict.fromkeys(window.release for window in windows))
    drawn = []
    for window in windows:
        colour = COLOURS[releases.index(window.release) % len(COLOURS)]
        left, right = frame.x(window.start), frame.x(window.start + window.seconds)
        drawn.append(
            f'<rect x="{left}" y="8" width="{max(right - left, 0.5):.1f}" height="26" fill="{colour}"/>'
        )
    for number, release in enumerate(releases):
        start = next(window.start for window in windows if window.release == release)
        name = release.rpartition(":")[2][:8]
        late = frame.x(start) > _WIDTH / 2
        anchor = f'x="{frame.x(start) - 3 if late else frame.x(start) + 3}" text-anchor="{"end" if late else "start"}"'
        drawn.append(
            f'<text {anchor} y="{52 + 15 * (number % 2)}" fill="{COLOURS[number % len(COLOURS)]}">'
            f"{escape(name)} from {_clock(start)}</text>"
        )
    return chart("What was served when", f"{len(releases)} releases", drawn, 76)


def traffic(windows: Sequence[Window]) -> str:
    """Requests of each window as bars, failed ones on top; the times to the first token as lines."""
    most = max(max(window.answered + window.refused + window.failed for window in windows), 1)
    frame = Frame.of(windows, 0, most)
    drawn = [frame.axes([(0, "0"), (most, str(most))])]
    for window in windows:
        left, right = frame.x(window.start), frame.x(window.start + window.seconds)
        below = 0
        for number, colour in (
            (window.answered, "#9dbfdd"),
            (window.refused, "#bbb"),
            (window.failed, "#a00000"),
        ):
            if number:
                top, bottom = frame.y(below + number), frame.y(below)
                drawn.append(
                    f'<rect x="{left}" y="{top}" width="{max(right - left - 0.3, 0.4):.1f}" '
                    f'height="{max(bottom - top, 1):.1f}" fill="{colour}"/>'
                )
            below += number
    timed = [(window, window.first_token_ms) for window in windows if window.first_token_ms]
    slowest = max((late for _, (_, late) in timed), default=1.0)
    times = Frame.of(windows, 0, slowest)
    for place, colour in ((0, COLOURS[0]), (1, COLOURS[1])):
        drawn.append(times.line([(window.start, both[place]) for window, both in timed], colour))
    drawn.append(f'<text x="{_LEFT - 6}" y="26" text-anchor="end">{slowest:.0f} ms</text>')
    failed, requests = sum(each.failed for each in windows), sum(each.answered for each in windows)
    return chart("Traffic and latency", f"{requests} requests answered, {failed} failed", drawn)


def drift(windows: Sequence[Window], *, named: bool = False) -> str:
    """Evidence of each detector, as a power of ten of its threshold. `named`: with names, for a picture by itself."""
    frame = Frame.of(windows, _FLOOR, _CEILING)
    ticks = [(-4.0, "1e-4"), (-2.0, "1e-2"), (0.0, "alarm"), (2.0, "1e2")]
    drawn = [frame.axes(ticks), frame.line([(frame.first, 0.0), (frame.last, 0.0)], "#a00000", "6 4")]
    names = list(dict.fromkeys(name for window in windows for name, _, _ in window.signals))
    for number, name in enumerate(names):
        points = [
            (window.start + window.seconds, math.log10(max(value / threshold, 1e-9)))
            for window in windows
            for each, value, threshold in window.signals
            if each == name
        ]
        drawn.append(
            frame.line(points, COLOURS[number % len(COLOURS)], ("", "8 3", "2 3", "10 3 2 3")[number % 4])
        )
        if named:
            drawn.append(
                f'<text x="{_LEFT + 6 + 90 * number}" y="18" fill="{COLOURS[number % len(COLOURS)]}">{name}</text>'
            )
    return chart("Drift", "evidence of each detector compared with where it alarms", drawn)


def training(curve: Sequence[Sequence[float]]) -> str:
    """Loss, learning rate and speed by step, each on a scale of its own; `training_names` has the ends of two."""
    first, last = curve[0][0], curve[-1][0]
    losses = [point[1] for point in curve]
    frame = Frame(first, last, min(losses), max(losses))
    ticks = [(each, f"{each:.2f}") for each in (frame.low, frame.high)]
    drawn = [frame.axes(ticks, (f"step {first:.0f}", f"step {last:.0f}"))]
    for number, dashes in enumerate(("", "8 3", "2 3")):
        values = [point[1 + number] for point in curve]
        own = Frame(first, last, 0, max(values)) if number else frame
        points = [(point[0], value) for point, value in zip(curve, values, strict=True)]
        drawn.append(own.line(points, COLOURS[number], dashes))
    return chart("The last training", f"loss from {losses[0]:.3f} to {losses[-1]:.3f}", drawn)


def training_names(curve: Sequence[Sequence[float]]) -> list[str]:
    """The lines of a training's chart, in the order of their colours."""
    rate, speed = (max(point[place] for point in curve) for place in (2, 3))
    return [
        "loss, nats per token",
        f"learning rate, up to {rate:.1e}",
        f"tokens per second, up to {speed:,.0f}",
    ]


def legend(names: Sequence[str]) -> str:
    """Names in the colours of their lines."""
    items = [
        f'<li><span style="background:{COLOURS[number % len(COLOURS)]}"></span>{escape(name)}</li>'
        for number, name in enumerate(names)
    ]
    return f"<ul class=legend>{''.join(items)}</ul>"


def _clock(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%d %b %H:%M")
