"""Premises in the lab with both stacks: one host trains, two others serve, which are managed and closed.

Where two hosts train together, these are managed and closed too.
"""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from lab import lock
from lab.fixtures import a_folder
from lab.premises.access import ssh
from lab.premises.lifecycle import bring_up
from scenario_model.serve.settings import Serving
from tests.built_runtime import VARIABLES
from tests.chapters import write_chapters
from tests.conftest import SHARING
from tests.end_to_end.conftest import ROOT, Clone, make_clone

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from lab.premises.lifecycle import Premises
    from tests.built_runtime import BuiltRuntime

# What a host keeps of its own accord: not files that a deployment made. Packages are compared by their names.
_EPHEMERAL = (
    *("/proc", "/sys", "/run", "/dev", "/tmp", "/var/log", "/var/tmp", "/home", "/var/lib/systemd"),
    *("/var/cache", "/var/lib/dpkg", "/var/lib/apt"),
)
_BESIDES_FILES = (
    "getent passwd; getent group; sudo nft --stateless list ruleset; "
    "dpkg-query --show --showformat 'package ${Package} ${db:Status-Abbrev}\\n'"
)
OF_THE_OTHER_STACK = {"kind": "stack", "stack": "s3-local"}
SERVING = {"host": "0.0.0.0", "engine": {"compile": "off", "weights": "fp32", "threads": 1}}


def every_setting_of_a_server(address: str) -> dict[str, Any]:
    """All of them, with other values than `SERVING`'s but for the address that is listened on."""
    changed = SERVING | {
        "port": 8445,
        "names": [address, "models.example.com"],
        "cors_origins": ["https://chat.example.com"],
        "limits": {"requests_per_minute": 5000},
        "engine": {"compile": "off", "weights": "fp32", "threads": 1, "max_sequences": 4},
        "metrics": {"port": 9446},
        "observation": {"window_seconds": 600.0},
        "drain_seconds": 20,
    }
    assert changed.keys() == Serving.model_fields.keys()
    return changed


@dataclass
class Site:
    """Premises with both stacks; what each host had before."""

    premises: Premises
    trains: Clone
    serves: Clone
    training: list[int]
    """The hosts that train, by their number."""
    before: dict[str, set[str]] = field(default_factory=dict)

    def on(self, number: int, command: str) -> str:
        host = self.premises.hosts[number]
        return ssh(host.folder, host.address, command, timeout_s=60)

    def files(self, number: int) -> set[str]:
        """Every file of a host that is there to stay, every user, package and rule; a unit is a file."""
        pruned = " -o ".join(f"-path {folder}" for folder in _EPHEMERAL)
        find = f"sudo find / \\( {pruned} \\) -prune -o -print"
        return set(self.on(number, f"{find}; {_BESIDES_FILES}").splitlines())

    def unit(self, number: int, service: str) -> str:
        """The name of a host's unit of a service."""
        listed = f"systemctl list-unit-files --plain --no-legend '{service}-*.service'"
        return self.on(number, listed).split()[0]


def inventory(
    premises: Premises, groups: dict[str, list[int]], *, installs: Collection[int] = ()
) -> dict[str, Any]:
    """The lab's own inventory, in other groups, and with root by sudo; burnt in for a moment. Hosts that do
    not install the runtime want the one that was laid below their own files."""
    written = yaml.safe_load(premises.inventory.read_text())["premises"]
    hosts = [
        (name, told if number in installs else {**(told or {}), **VARIABLES})
        for number, (name, told) in enumerate(written["hosts"].items())
    ]
    children = {
        name: {"hosts": dict(hosts[number] for number in members)} for name, members in groups.items()
    }
    ours = {"ansible_become": True, "service_host_environment": SHARING}
    ours |= {"gpu_validation_seconds": 1, "monitoring_interval_seconds": 2}
    # Two processors are shared by all hosts of the lab, and by other tests.
    ours |= {"gpu_validation_cpu_gflops": 0.01}
    return {"premises": {"children": children, "vars": {**written["vars"], **ours}}}


def settings(
    clone: Clone, *, hosts: Mapping[str, Any] | None = None, bundled: bool = True, **values: Any
) -> None:
    """Write a stack's file anew, but for Pulumi's salt and what was said of the hosts themselves."""
    file = clone.path / "stacks" / f"Pulumi.{clone.stack}.yaml"
    written = yaml.safe_load(file.read_text())
    kept = {key: value for key, value in written.items() if key == "encryptionsalt"}
    of_hosts = {
        key: value
        for key, value in written["config"].items()
        if key in {"premises:manageHosts", "premises:egress"}
    }
    of_hosts |= {f"premises:{name}": value for name, value in (hosts or {}).items()}
    bundle = clone.path / ".state" / "bundle"
    premises = {"premises:inventory": f"ansible/inventory/{clone.stack}.yml"}
    if bundled:
        premises["premises:bundle"] = str(bundle)
        premises["premises:bundleKey"] = str(bundle.parent / "bundle-key" / "bundle-verification.pem")
    ours = {f"model-deployment-scenarios:{name}": value for name, value in values.items()}
    file.write_text(yaml.safe_dump({**kept, "config": {**ours, **premises, **of_hosts}}))


@contextlib.contextmanager
def deployed(directory: Path, checkpoint: Path, runtime: BuiltRuntime, training: int) -> Iterator[Site]:
    """Both stacks up, with so many hosts that train and two that serve. If two train, the first host installs
    the runtime from the bundle. At the end both stacks are removed, and the hosts are as they were."""
    trains = make_clone(directory)
    serves = Clone(path=trains.path, port=trains.port, stack="s1-local-serving")
    with a_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_CLOUD", "none")
        trains.run("make", "bundle", "CPU=yes")
        laid = directory.with_name(f"{directory.name}-laid")
        runtime.lay_into(laid, bundle=trains.path / ".state" / "bundle")
        with lock.exclusive(folder):
            if training > 1:
                bring_up(folder, 1)
            premises = bring_up(folder, 2 + training, over=[laid])
        site = Site(premises, trains, serves, [0, *range(3, 2 + training)])
        prepare(site, checkpoint)
        site.before = {host.name: site.files(number) for number, host in enumerate(premises.hosts)}
        try:
            trains.said = trains.run("make", "up").stdout
            serves.said = serves.run("make", "up", "STACK=s1-local-serving").stdout
            yield site
        finally:
            serves.run("make", "down", "STACK=s1-local-serving")
            trains.run("make", "down")
        for number, host in enumerate(premises.hosts):
            left = sorted(site.files(number) - site.before[host.name])
            assert not left, f"{host.name}: {left[:40]}"


def prepare(site: Site, checkpoint: Path) -> None:
    """Inventories and settings; a tiny foundation model and data on the hosts that train."""
    installs = [0] if len(site.training) > 1 else []
    for clone, groups in (
        (site.trains, {"training": site.training, "inference": [0]}),
        (site.serves, {"inference": [1, 2], "balancer": [1]}),
    ):
        file = clone.path / "ansible" / "inventory" / f"{clone.stack}.yml"
        file.write_text(yaml.safe_dump(inventory(site.premises, groups, installs=installs)))
    texts = write_chapters(site.trains.path / "texts")
    for source, target in ((checkpoint, "/srv/foundation"), (texts, "/srv/texts")):
        copy = ["-b", "-m", "ansible.builtin.copy", "-a", f"src={source}/ dest={target}/ mode=0755"]
        program = str(Path(sys.executable).parent / "ansible")
        training = ",".join(site.premises.hosts[number].name for number in site.training)
        command = [program, "-i", str(site.premises.inventory), training, *copy]
        subprocess.run(command, cwd=ROOT / "ansible", check=True, capture_output=True)
    closed = _closed(site)
    what_trains(site, hosts=closed if len(site.training) > 1 else None)
    settings(site.serves, hosts=closed, release=OF_THE_OTHER_STACK, serving=SERVING)


def _closed(site: Site) -> dict[str, Any]:
    here = [site.premises.addresses.machine]
    return {"manageHosts": True, "egress": {"admin_networks": here, "clients": here}}


def what_trains(
    site: Site, *, serving: Mapping[str, Any] = SERVING, hosts: Mapping[str, Any] | None = None
) -> None:
    """Write the settings of the stack that trains and serves on one host; trained by it alone, it has a lifecycle."""
    alone: dict[str, Any] = {"lifecycle": {"approval": "person"}} if len(site.training) == 1 else {}
    settings(
        site.trains,
        hosts=hosts,
        **alone,
        foundation={"kind": "directory", "path": "/srv/foundation", "max_perplexity": 1e9},
        data={"kind": "text", "path": "/srv/texts", "held_out": 0.4},
        recipe={"method": "full", "max_steps": 6, "sequence_length": 128, "learning_rate": 0.01},
        gate={"old_domain_margin": 1.0},
        serving=serving,
        release={"name": "assistant", "export": ".state/releases"},
    )


@contextlib.contextmanager
def client(clone: Clone, *, verify: bool = True, endpoint: str = "") -> Iterator[httpx.Client]:
    """Speaks to the stack's endpoint, or to another one of it, and trusts nothing but its CA."""
    outputs = clone.outputs()
    tls = ssl.create_default_context(cadata=outputs["ca_certificate"])
    if not verify:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    headers = {"Authorization": f"Bearer {outputs['api_key']}"}
    base = (endpoint or outputs["endpoint"]).removesuffix("/v1")
    with httpx.Client(base_url=base, verify=tls, headers=headers, timeout=60) as http:
        yield http
