"""The properties of our services' real unit, rendered from the role's template without Ansible."""

from __future__ import annotations

import re
from typing import Any

import yaml

from benchmarks.gpu.context import ANSIBLE

_ROLE = ANSIBLE / "roles" / "service"
_NOT_OF_A_PROBE = re.compile(
    r"^(Type|Exec\w+|Environment|WorkingDirectory|ReadWritePaths|User|Group|Restart\w*|KillMode|Timeout\w+)="
)
"""What starts, restarts and ends the service, and where it lives."""


def service_properties() -> list[str]:
    """`Name=value` lines of section [Service] of a system unit with GPUs and a network, but for the above."""
    section = re.search(r"(?ms)^\[Service\]\n(.*?)^\[", _rendered())
    lines = section[1].splitlines() if section else []
    return [line for line in lines if "=" in line and not _NOT_OF_A_PROBE.match(line)]


def devices() -> list[str]:
    """The groups of devices that a unit may open where there is NVIDIA's driver."""
    import jinja2.nativetypes

    told = yaml.safe_load((_ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))
    expression: Any = jinja2.nativetypes.NativeEnvironment().from_string(told["service_devices"])
    return list(expression.render(premises_look={"nvidia": True}))


def _rendered() -> str:
    import jinja2

    environment = jinja2.Environment(trim_blocks=True, autoescape=False)
    environment.filters["regex_replace"] = lambda text, pattern, new: re.sub(pattern, new, text)
    template = (_ROLE / "templates" / "systemd.j2").read_text(encoding="utf-8")
    values: dict[str, Any] = {
        "premises_manager": "system",
        "premises_root": "/",
        "premises_service_user": "nobody",
        "service_again": "always",
        "service_command": ["/bin/true"],
        "service_devices": devices(),
        "service_name": "cuinit",
        "service_network": True,
        "service_peers": [],
        "service_stop_seconds": 10,
        "service_whole_environment": {},
        "service_writable": [],
    }
    return environment.from_string(template).render(values)
