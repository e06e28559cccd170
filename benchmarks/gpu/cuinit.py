"""Part `cuinit`: does CUDA start as services run it?

cuInit and a first context, as root, as a user, with no new privileges, without capabilities, with
/dev/nvidia-uvm hidden, and under the properties of our real unit. What fails with the node hidden, and for
whom, says what a host needs before its services start: libcuda makes a missing node through the setuid
program nvidia-modprobe, which `NoNewPrivileges` takes away.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.context import figure, first_line
from benchmarks.gpu.machine import command
from benchmarks.gpu.unit_properties import service_properties

if TYPE_CHECKING:
    from benchmarks.gpu.context import Context

_NOBODY = "65534"
_TIMEOUT_S = 20.0
# A /dev of the probe's own: every entry but the hidden ones, bound to what it is outside.
_HIDE = """
set -e
new="$(mktemp -d)"
mount -t tmpfs -o mode=755 tmpfs "$new"
for each in /dev/*; do
    name="${each##*/}"
    case "$name" in $HIDDEN) continue ;; esac
    if [ -L "$each" ]; then cp -P "$each" "$new/$name"
    elif [ -d "$each" ]; then mkdir "$new/$name"; mount --rbind "$each" "$new/$name"
    else : > "$new/$name"; mount --bind "$each" "$new/$name"; fi
done
mount --rbind "$new" /dev
exec "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to start the probe. `as_user`: not as root; `hidden`: no /dev/nvidia-uvm; `unit`: in our unit."""

    name: str
    options: tuple[str, ...] = ()
    as_user: bool = False
    hidden: bool = False
    unit: bool = False


WAYS = (
    Way(name="root"),
    Way(name="user", as_user=True),
    Way(name="user, no new privileges", options=("no-new-privs",), as_user=True),
    Way(name="root, no new privileges", options=("no-new-privs",)),
    Way(name="root, without capabilities", options=("no-capabilities",)),
    Way(name="root, nvidia-uvm hidden", hidden=True),
    Way(name="user, nvidia-uvm hidden", as_user=True, hidden=True),
    Way(
        name="user, no new privileges, nvidia-uvm hidden",
        options=("no-new-privs",),
        as_user=True,
        hidden=True,
    ),
    Way(name="the service's unit", as_user=True, unit=True),
)


def run(context: Context) -> dict[str, Any]:
    """Try each way; one that this machine does not allow has its reason."""
    result: dict[str, Any] = {"unit_properties": service_properties(), "ways": {}, "figures": []}
    for way in WAYS:
        answer = _try(way, result["unit_properties"])
        result["ways"][way.name] = answer
        result["figures"].append(figure(f"cuInit, {way.name}", _words(answer)))
        context.note(result)
    return result


def impossible(way: Way, *, user: int, first_process: str) -> str | None:
    """Why this machine does not allow a way, or None if it may."""
    if way.unit and first_process != "systemd":
        return f"process 1 is {first_process}, not systemd"
    if user and (not way.as_user or way.hidden or way.unit):
        return "it needs root"
    return None


def _try(way: Way, properties: list[str]) -> dict[str, Any]:
    first_process = Path("/proc/1/comm").read_text(encoding="utf-8").strip()
    if reason := impossible(way, user=os.getuid(), first_process=first_process):
        return {"not_possible": reason}
    code, out, errors = command(*_argv(way, properties), timeout_s=_TIMEOUT_S)
    try:
        answer: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    except (IndexError, ValueError):
        last = first_line((errors.strip().splitlines() or ["no message"])[-1])
        return {"not_possible": f"the probe ended with {code}: {last}"}
    return answer


def _argv(way: Way, properties: list[str]) -> list[str]:
    # Not as a file: the unit has a /tmp of its own and no /home, and a user may not read the source tree.
    source = Path(__file__).with_name("cuinit_probe.py").read_text(encoding="utf-8")
    argv = [_python(), "-I", "-c", source, *way.options]
    if way.unit:
        told = [word for each in (*properties, f"User={_NOBODY}") for word in ("--property", each)]
        return ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", *told, *argv]
    if way.as_user and os.getuid() == 0:
        argv = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *argv]
    if way.hidden:
        argv = without_node("nvidia-uvm*", argv)
    return argv


def without_node(pattern: str, argv: list[str]) -> list[str]:
    """A command that runs `argv` with a /dev that lacks the entries of a shell pattern; it needs root."""
    hide = _HIDE.replace("$HIDDEN", pattern)
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", hide, "sh", *argv]


def _python() -> str:
    """A Python that every user may run: the system's, where there is one."""
    return shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable


def _words(answer: dict[str, Any]) -> str:
    if "not_possible" in answer:
        return f"not possible: {answer['not_possible']}"
    if answer["code"] is None:
        return "libcuda.so.1 cannot be loaded"
    text = f"{answer['code']} {answer['why']}"
    if answer["code"] == 0:
        text += f", {answer['gpus']} GPUs, context {answer['context']} {answer['context_why']}"
    made = answer["nodes_made"]
    return text + (f"; made {', '.join(made)}" if made else "")
