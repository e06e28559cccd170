"""The stack `s4-cloud-serving` in the lab: its sites, its cluster, and what befalls them."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from lab import lock, serving_addons
from lab.aws.lifecycle import recorded
from lab.cloud_serving import BUCKET, NAMESPACE, STACK, prepare
from lab.premises.access import ssh
from lab.premises.lifecycle import bring_up
from tests import buckets
from tests.end_to_end.conftest import make_clone
from tests.end_to_end.site import inventory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.compose import Lab
    from lab.kubernetes.cluster import Cluster
    from lab.premises.lifecycle import Premises
    from tests.built_runtime import BuiltRuntime
    from tests.end_to_end.conftest import Clone

NAME = "endpoint.example.com"
SCALING = {"max_replicas": 2, "running": 2}


@dataclass
class Fleet:
    """The stack, up, and the releases of one key that were not rolled out yet, in whatever order tests run."""

    clone: Clone
    premises: Premises
    cluster: Cluster
    sites: list[str]
    release: str
    to_come: list[dict[str, str]]

    def publish(self) -> None:
        """Let the stack roll out the next release."""
        settings = self.to_come.pop(0)
        self.clone.configure(release=settings)
        self.clone.pulumi("up", "--yes", "--skip-preview")
        self.release = settings["id"]

    def scale(self, **changes: int) -> None:
        """Let the endpoint be scaled otherwise than it is in the beginning."""
        self.clone.configure(endpoint={"scaling": SCALING | changes})
        self.clone.pulumi("up", "--yes", "--skip-preview")

    def is_everywhere(self) -> bool:
        """Whether each site serves the release that was rolled out last."""
        return set(self.served().values()) == {self.release}

    def asked(self, site: str, path: str = "/readyz") -> httpx.Response:
        outputs = self.clone.outputs()
        (url,) = [each["endpoint"] for each in outputs["sites"] if each["name"] == site]
        tls = ssl.create_default_context(cadata=outputs["ca_certificate"])
        headers = {"Authorization": f"Bearer {outputs['api_key']}"}
        return httpx.get(url.removesuffix("/v1") + path, verify=tls, headers=headers, timeout=30)

    def served(self) -> dict[str, str]:
        """The release that each site serves; empty for one that does not answer now."""
        found = {}
        for site in self.sites:
            try:
                answer = self.asked(site)
                found[site] = answer.headers["x-release"] if answer.is_success else ""
            except httpx.HTTPError:
                found[site] = ""
        return found

    def pods(self, component: str) -> int:
        """How many pods of a Deployment are ready."""
        selector = f"app.kubernetes.io/component={component}"
        deployments = self.cluster.kubectl.get("deployments", "-n", NAMESPACE, "-l", selector)["items"]
        return sum(int(each["status"].get("readyReplicas", 0)) for each in deployments)

    def kill(self, namespace: str, selector: str = "") -> None:
        """Kill pods without a farewell."""
        which = ["-l", selector] if selector else ["--all"]
        self.cluster.kubectl(
            "delete", "pods", "-n", namespace, *which, "--grace-period=0", "--force", timeout_s=120
        )

    @contextlib.contextmanager
    def bucket_away(self) -> Iterator[None]:
        """The bucket's server does not answer meanwhile."""
        pids = [each.pid for each in recorded(self.premises.space.folder).values()]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def fleet_of(
    lab: Lab,
    cluster: Cluster,
    runtime: BuiltRuntime,
    folder: Path,
    releases: list[dict[str, str]],
    count: int,
    **changes: Any,
) -> Iterator[Fleet]:
    """The stack's settings as the lab's helper shapes them, for so many sites, but for these changes, and for the first
    of these releases; nothing of the stack is left afterwards."""
    assert lab.aws
    numbers, space = range(1, 1 + count), lab.premises.space.folder
    runtime.lay_into(folder / "laid")
    with lock.exclusive(space):
        premises = bring_up(space, 1 + count, over=[folder / "laid"])
    sites = [premises.hosts[number].name for number in numbers]
    first, *to_come = releases
    clone = make_clone(folder / "clone")
    clone.stack = STACK
    with pytest.MonkeyPatch.context() as patch:
        host = urlsplit(lab.aws.endpoint).hostname or ""
        for name, value in {**lab.aws.environment, "SCENARIO_MODEL_PLAIN_HTTP": host}.items():
            patch.setenv(name, value)
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
        settings = prepare(cluster, lab.aws, premises, first)
        file = clone.path / "ansible" / "inventory" / "sites.yml"
        file.write_text(yaml.safe_dump(inventory(premises, {"inference": [*numbers]})))
        settings["premises:inventory"] = "ansible/inventory/sites.yml"
        (clone.path / "stacks" / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": settings}))
        clone.configure(
            agent={"poll_seconds": 5},
            serving={"limits": {"requests_per_minute": 1_000_000}},
            # The ring that goes first is the one that is asked: without answers nothing is judged.
            sites={"rings": {"first": [sites[0]]}},
            rollout={"soak_seconds": 1, "judgement": {"periods": 1, "answers": 3, "slower_by": 50}},
        )
        clone.configure(**changes)
        try:
            yield Fleet(clone, premises, cluster, sites, first["id"], to_come)
        finally:
            try:
                clone.run("make", "down", f"STACK={STACK}")
                assert not cluster.kubectl("get", "namespaces", "--ignore-not-found", NAMESPACE).strip()
            finally:
                buckets.remove(BUCKET)
                with lock.exclusive(space):
                    bring_up(space, 1)


def put_behind_a_gateway(clone: Clone, premises: Premises, cluster: Cluster) -> None:
    assert cluster.own
    serving_addons.add(cluster)
    for host in premises.hosts:
        line = f"echo {cluster.own.addresses.cloud} {NAME} | sudo tee -a /etc/hosts"
        ssh(host.folder, host.address, line)
    where = {"service": "Gateway", "gateway": serving_addons.GATEWAY, "port": serving_addons.PORT}
    clone.configure(endpoint={**where, "host": NAME, "scaling": SCALING})
