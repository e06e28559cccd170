"""Part `recordings`: what a GPU host says of itself, as files for tests, and what our modules make of it.

Serial numbers and UUIDs are replaced by zeros of the same shape, so that a recording can go into the tests.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.ansible_modules import run_module
from benchmarks.gpu.context import figure
from benchmarks.gpu.machine import command
from benchmarks.gpu.role_commands import counters, kernel_log, queries, verdict
from benchmarks.gpu.system_files import devices, kernel_lines, sysfs

if TYPE_CHECKING:
    from benchmarks.gpu.context import Context

_COMMANDS = {
    "nvidia-smi-q.txt": ("nvidia-smi", "-q"),
    "nvidia-smi-help-query-gpu.txt": ("nvidia-smi", "--help-query-gpu"),
    "nvidia-smi-help.txt": ("nvidia-smi", "--help"),
    "nvidia-smi-topology.txt": ("nvidia-smi", "topo", "-m"),
    "nvidia-smi-nvlink.txt": ("nvidia-smi", "nvlink", "--status"),
}
_UUID = re.compile(r"(?<=\b(?:GPU|MIG)-)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SERIAL = re.compile(
    r"(?m)^(\s*(?:[\w ]*Serial Number|GPU PDI|GUID|Cluster ?UUID)\s*:\s*)(\S.*)$", re.IGNORECASE
)


def run(context: Context) -> dict[str, Any]:
    """Record; each recording that cannot be made has its reason instead."""
    files: dict[str, Any] = {}
    hardware = run_module("gpu_hardware")
    result = {"files": files, "gpu_hardware": hardware}
    for name, text in (("devices.txt", devices()), ("sysfs.txt", sysfs())):
        files[context.record(name, text)] = {"lines": text.count("\n")}
    lines, source = kernel_lines()
    files[context.record("kernel-log.txt", "".join(f"{line}\n" for line in lines))] = {
        "lines": len(lines), "source": source,
    }  # fmt: skip
    for name, argv in _COMMANDS.items():
        context.note(result)  # nvidia-smi hangs on a broken driver: what is there until then stays
        files[name] = _record(context, name, argv)
    files["role-queries.txt"] = _record_queries(context)
    judged = result["host_verdict_of_lines"] = _judge_lines()
    return {**result, "figures": _figures(files, hardware, judged)}


def without_serials(text: str) -> str:
    """Replace hexadecimal digits of UUIDs and serial numbers by zeros."""

    def zeros(found: str) -> str:
        return found if found in {"N/A", "[N/A]"} else re.sub(r"[0-9a-f]", "0", found, flags=re.IGNORECASE)

    text = _UUID.sub(lambda match: zeros(match[0]), text)
    return _SERIAL.sub(lambda match: match[1] + zeros(match[2]), text)


def _record(context: Context, name: str, argv: tuple[str, ...]) -> dict[str, Any]:
    code, out, errors = command(*argv)
    about = {"command": " ".join(argv), "exit_code": code, "lines": out.count("\n")}
    if out:
        context.record(name, without_serials(out))
    return about | ({"errors": errors.strip()[:300]} if errors.strip() or not out else {})


def _record_queries(context: Context) -> dict[str, Any]:
    """All of the roles' queries in one transcript: with names of columns, and as the roles ask."""
    transcript, failed = [], []
    asked = queries()
    for query in asked:
        for form in ("csv", "csv,noheader,nounits"):
            argv = ("nvidia-smi", query, f"--format={form}")
            code, out, errors = command(*argv)
            transcript.append(f"$ {' '.join(argv)}\n{without_serials(out)}{errors}exit code {code}\n")
            if code != 0 and query not in failed:
                failed.append(query)
        if code is None:  # there is no nvidia-smi, or it hangs: the other queries would tell no more
            break
    context.record("role-queries.txt", "\n".join(transcript))
    return {"queries": asked, "failed": failed}


def _judge_lines() -> dict[str, Any]:
    """`host_verdict` on counters and log alone; the burn-in part has the whole verdict."""
    (count_code, counted, count_errors), (log_code, logged, log_errors) = counters(), kernel_log()
    return {
        "counters": {"exit_code": count_code, "output": counted, "errors": count_errors.strip()[:300]},
        "kernel_log": {"exit_code": log_code, "output": logged[-4000:], "errors": log_errors.strip()[:300]},
        "answer": verdict([], 0, counted=counted, logged=logged),
    }


def _figures(files: dict[str, Any], hardware: dict[str, Any], judged: dict[str, Any]) -> list[dict[str, Any]]:
    made = sum(1 for each in files.values() if each.get("lines") or each.get("queries"))
    asked = files["role-queries.txt"]
    answered = len(asked["queries"]) - len(asked["failed"])
    if files["nvidia-smi-q.txt"]["exit_code"] is None:
        answered = 0
    found = [f"{gpu['device']} {gpu['generation']}" for gpu in hardware.get("gpus", [])]
    fabric = f"module {hardware.get('module') or 'none'}, fabric {hardware.get('fabric')}"
    said = hardware.get("msg") or f"{', '.join(found) or 'no GPU'}; {fabric}"
    failures = judged["answer"].get("failures", [judged["answer"].get("msg")])
    return [
        figure("recordings made", f"{made} of {len(files)}"),
        figure("queries of the roles answered", f"{answered} of {len(asked['queries'])}"),
        figure("gpu_hardware", said),
        figure("host_verdict on counters and log", "; ".join(map(str, failures)) or "no errors"),
    ]
