"""The figures of a GPU check as a Markdown table, ready for benchmarks/README.md."""

from __future__ import annotations

from typing import Any


def table(results: dict[str, Any]) -> str:
    """One row per figure; a part without any has one row with its status and reason."""
    lines = ["| part | figure | value | aim |", "|---|---|---|---|"]
    for name, part in results["parts"].items():
        found = (part["result"] or {}).get("figures", [])
        lines += [f"| {name} | {each['name']} | {_value(each)} | {_aim(each)} |" for each in found]
        if part["status"] != "done" or not found:
            why = f": {part['reason']}" if part["reason"] else ""
            lines.append(f"| {name} | {part['status']} after {part['seconds']} s{_cell(why)} | | |")
    return "\n".join(lines)


def heading(results: dict[str, Any]) -> str:
    """What was measured, where, with what, in one line."""
    machine = results["machine"]
    software = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    where = machine.get("gpu") or f"CPU ({machine['processors']} processors)"
    driver = f", driver {machine['driver']}" if machine.get("driver") else ""
    return f"{where}{driver}, {software}, {results['begun'][:10]}, {results['seconds']:.0f} s"


def _value(each: dict[str, Any]) -> str:
    value = each["value"]
    text = f"{value:.4g}" if isinstance(value, float) else _cell(str(value))
    return f"{text} {each['unit']}".strip()


def _aim(each: dict[str, Any]) -> str:
    verdict = {True: "met", False: "**missed**", None: ""}[each["met"]]
    return ", ".join(part for part in (each["aim"], verdict) if part)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
