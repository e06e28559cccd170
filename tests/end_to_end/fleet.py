"""The stack `s4-cloud-serving` in the lab: its sites, its cluster, and what befalls them."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from lab import serving_addons
from lab.aws.lifecycle import recorded
from lab.cloud_serving import NAMESPACE
from lab.premises.access import ssh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.kubernetes.cluster import Cluster
    from lab.premises.lifecycle import Premises
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


def put_behind_a_gateway(clone: Clone, premises: Premises, cluster: Cluster) -> None:
    assert cluster.own
    serving_addons.add(cluster)
    for host in premises.hosts:
        line = f"echo {cluster.own.addresses.cloud} {NAME} | sudo tee -a /etc/hosts"
        ssh(host.folder, host.address, line)
    where = {"service": "Gateway", "gateway": serving_addons.GATEWAY, "port": serving_addons.PORT}
    clone.configure(endpoint={**where, "host": NAME, "scaling": SCALING})
