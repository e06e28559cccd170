"""One comment in Markdown: a line for each stack, then what is dangerous, and what changes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from policies.premises import DATA_STAYS
from previews.costs.prices import HOURS, Price
from previews.github import LIMIT
from previews.plugin.replacing import is_known
from previews.post import MARK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from previews.costs.estimate import Estimate
    from previews.events import Changes, Step, Violation
    from stacks.scenarios import Scenario

_ROWS = (1_000_000, 200, 80, 30, 10, 0)
_DANGERS = 20
_SIGNS = {"create": "+", "update": "~", "replace": "±", "delete": "-"}
_TRAINS = (":TrainingRun", ":TrainingJob", ":TrainingOutcome")
_SERVES = ("serving", "sites", "endpoint", "release")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All that is said of a stack. `before`, `after`: what it costs; None on the premises."""

    scenario: Scenario | None
    changes: Changes
    dangers: Sequence[str]
    before: Estimate | None
    after: Estimate | None

    @property
    def broken(self) -> str:
        """By which rule the stack's data would leave the premises; empty if they stay, or may leave."""
        if self.changes.error and "keeps its data on the premises" in self.changes.error:
            return self.changes.error
        said = [each.message for each in self.changes.violations if each.rule == DATA_STAYS.name]
        return said[0] if said else ""

    @property
    def fails(self) -> bool:
        """Whether an update would stop: there is no preview, or a rule that is mandatory is broken."""
        return bool(self.changes.error) or any(each.stops for each in self.changes.violations)


def comment(verdicts: Sequence[Verdict], *, limit: int = LIMIT) -> str:
    """Return the comment; what does not fit is left out and said so."""
    for rows in _ROWS:
        text = _comment(verdicts, rows)
        if len(text) <= limit:
            return text
    return f"{text[: limit - 200]}\n\n… the rest is in the job's artefact.\n"


def _comment(verdicts: Sequence[Verdict], rows: int) -> str:
    parts = [MARK, "## What this change does", "", *_table(verdicts)]
    if any(each.changes.against_base for each in verdicts):
        parts += [
            "",
            "\\* compared with what the branch that it is for would deploy: what is deployed is not known here",
        ]
    for verdict in verdicts:
        parts += ["", *_section(verdict, rows)]
    return "\n".join(parts) + "\n"


def _table(verdicts: Sequence[Verdict]) -> list[str]:
    lines = ["| stack | dangerous | data | changes | USD a month |", "|---|---|---|---|---|"]
    for each in verdicts:
        changes = each.changes
        counts = [f"{_SIGNS[kind]}{len(changes.of(kind))}" for kind in _SIGNS if changes.of(kind)]  # type: ignore[arg-type]
        told = "**fails**" if changes.error else " ".join(counts) or "none"
        new = " (as new)" if changes.is_new and not changes.error else ""
        new = " \\*" if changes.against_base else new
        lines.append(
            f"| `{changes.stack}` | {_dangerous(each)} | {_residency(each)} | {told}{new} | {_month(each)} |"
        )
    return lines


def _dangerous(verdict: Verdict) -> str:
    broken = sum(each.stops for each in verdict.changes.violations)
    told = [f"**{len(verdict.dangers)}**"] if verdict.dangers else []
    if broken:
        told.append(f"**{_counted(broken, 'rule')} broken**")
    return ", ".join(told) or "-"


def _residency(verdict: Verdict) -> str:
    if verdict.broken:
        return "**would leave the premises**"
    if verdict.scenario is None:
        return "?"
    return {
        "premises": "on the premises",
        "cloud": "in the cloud",
        "exchanged": "exchanged by contract",
    }.get(str(verdict.scenario.placement.data), "not specified")


def _month(verdict: Verdict) -> str:
    if verdict.after is None or verdict.changes.error:
        return "-"
    now = _sum(verdict.after)
    if verdict.before is None or verdict.changes.is_new:
        return now
    then = _sum(verdict.before)
    return now if then == now else f"{then} → {now}"


def _sum(cost: Estimate) -> str:
    if not cost.lines:
        return "not known" if cost.unpriced else "0"
    return f"{'at least ' if cost.unpriced else ''}{cost.per_hour * HOURS:,.0f}"


def _section(verdict: Verdict, rows: int) -> list[str]:
    changes = verdict.changes
    lines = [f"### `{changes.stack}`", ""]
    if changes.error:
        return [*lines, "There is no preview:", "", *_fenced(changes.error)]
    lines += _violations([each for each in changes.violations if each.stops], ":no_entry:")
    for danger in verdict.dangers[:_DANGERS]:
        lines.append(f"- :warning: {' '.join(danger.split())}")
    if len(verdict.dangers) > _DANGERS:
        lines.append(f"- :warning: and {len(verdict.dangers) - _DANGERS} more, in the job's artefact")
    # What only is told is told of what changes; the rest was so before.
    busy = {step.name for step in changes.changing}
    told = [each for each in changes.violations if not each.stops and each.name in busy]
    lines += _violations(told, ":information_source:")
    lines += [f"- {each}" for each in _consequences(verdict)]
    lines += _costs(verdict)
    if changes.changing:
        lines += ["", *_details(changes.changing, rows)]
    return lines


def _violations(found: Sequence[Violation], sign: str) -> list[str]:
    lines = [
        f"- {sign} **{each.rule}**: {' '.join(each.message.split())[:400]} (`{_plain(each.name)}`)"
        for each in found[:_DANGERS]
    ]
    if len(found) > _DANGERS:
        lines.append(f"- {sign} and {len(found) - _DANGERS} more, in the job's artefact")
    return lines


def _consequences(verdict: Verdict) -> list[str]:
    changes, found = verdict.changes, []
    busy = [step for step in changes.changing if step.kind != "delete"]
    if any(step.type.endswith(_TRAINS) for step in busy):
        found.append("a model is trained" + ("" if changes.is_new else " again"))
    if not changes.is_new and any(step.name in _SERVES for step in busy):
        found.append("servers get a release or other settings")
    hosts = changes.outputs.get("hosts")
    if isinstance(hosts, list) and any("dynamic/premises:" in step.type for step in busy):
        names = [str(each.get("name")) for each in hosts if isinstance(each, dict)]
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        found.append(f"hosts: {len(names)} ({', '.join(f'`{name}`' for name in names[:8])}{more})")
    if changes.uncompared:
        found.append(
            f"not compared: {changes.uncompared} values that are secret, or of a file that is not here"
        )
    if not changes.changing:
        found.append("nothing changes")
    return found


def _costs(verdict: Verdict) -> list[str]:
    cost = verdict.after
    if cost is None or not (cost.lines or cost.unpriced):
        return []
    least = "at least " if cost.unpriced else ""
    share = f"{cost.share:.0%} of what costs has a price here"
    lines = [f"- costs: {least}{cost.per_hour:,.2f} USD an hour, on demand; {share}"]
    if cost.unpriced:  # first, and nodes before all: they cost most
        kinds = {each.rpartition(":")[2] or each for each in cost.unpriced}
        known = sorted(kinds, key=lambda each: (not each.startswith("node "), each))
        lines.append(f"  - without a price: {', '.join(f'`{each}`' for each in known)}")
    alike: dict[tuple[str, Price], float] = {}
    for what, number, price in cost.lines:
        alike[what, price] = alike.get((what, price), 0) + number
    lines += [
        f"  - {what}: {number:g} x {price.per_hour:g} USD an hour, of {price.as_of}"
        for (what, price), number in sorted(alike.items(), key=lambda each: -each[1] * each[0][1].per_hour)
    ]
    return lines


def _details(steps: Sequence[Step], rows: int) -> list[str]:
    order = {kind: place for place, kind in enumerate(("delete", "replace", "update", "create"))}
    shown = sorted(steps, key=lambda step: (order[step.kind], step.type, step.name))[:rows]
    left = len(steps) - len(shown)
    lines = [f"<details><summary>{_counted(len(steps), 'change')}</summary>", ""]
    if shown:
        lines += ["| | resource | what |", "|---|---|---|"]
    for step in shown:
        if step.kind == "create":
            continue
        what = "; ".join(each.shown(briefly=True) for each in step.differences[:6])
        if len(step.differences) > 6:
            what += f"; {len(step.differences) - 6} more"
        if step.kind == "update" and step.type.startswith("aws:") and not is_known(step.type):
            what += "; **whether this replaces it is not known here**"
        lines.append(f"| {_SIGNS[step.kind]} | `{_short(step.type)}` `{_plain(step.name)}` | {what} |")
    lines += _created([step for step in shown if step.kind == "create"])
    if left:
        lines += ["", f"{_counted(left, 'more change')} in the job's artefact."]
    return [*lines, "", "</details>"]


def _created(steps: Sequence[Step]) -> list[str]:
    """New resources, a line for each type."""
    names: dict[str, list[str]] = {}
    for step in steps:
        names.setdefault(step.type, []).append(f"`{_plain(step.name)}`")
    return [f"| + | {len(each)} `{_short(kind)}` | {', '.join(each)} |" for kind, each in names.items()]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _short(kind: str) -> str:
    return kind.removeprefix("pulumi-python:dynamic/")


def _plain(text: str) -> str:
    return re.sub(r"[`|\s]+", " ", text)[:80]


def _fenced(text: str) -> list[str]:
    return ["```", text.replace("```", "'''")[:1_000], "```"]
