"""The properties of our services' real unit, rendered from the role's template without Ansible."""

from __future__ import annotations

import re
from typing import Any

import yaml

from benchmarks.gpu.context import ANSIBLE

_ROLE = ANSIBLE / "roles" / "service"
_NOT_OF_A_PROBE = re.compile(r"^(ReadWritePaths|User|Group)=")
"""Who the service runs as, and where it lives."""


def service_properties() -> list[str]:
    """`Name=value` lines that restrict a system unit with GPUs and a network, but for the above."""
    lines = _rendered().splitlines()
    return [line for line in lines if "=" in line and not _NOT_OF_A_PROBE.match(line)]


def devices() -> list[str]:
    """The groups of devices that a unit may open where there is NVIDIA's driver."""
    import jinja2.nativetypes

    told = yaml.safe_load((_ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))
    expression: Any = jinja2.nativetypes.NativeEnvironment().from_string(told["service_devices"])
    return list(expression.render(premises_look={"nvidia": True}, service_rdma=False))


def _rendered() -> str:
    import jinja2

    environment = jinja2.Environment(trim_blocks=True, autoescape=False)
    environment.filters["regex_replace"] = lambda text, pattern, new: re.sub(pattern, new, text)
    template = (_ROLE / "templates" / "sandbox.j2").read_text(encoding="utf-8")
    values: dict[str, Any] = {
        "premises_manager": "system",
        "premises_service_user": "nobody",
        "service_devices": devices(),
        "service_network": True,
        "service_peers": [],
        "service_rdma": False,
        "service_writable": [],
    }
    return environment.from_string(template).render(values)
