"""A real cluster: its node runs pods that find each other, and the premises reach it by one way only."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lab.kubernetes import NODE
from lab.kubernetes.control_plane import scheduler
from lab.premises.access import ssh
from lab.premises.wan import Wan
from tests.lab.conftest import finish
from tests.lab.kubernetes.pods import pod
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.compose import Lab
    from lab.kubernetes.cluster import Cluster
    from lab.premises.host import Host

pytestmark = pytest.mark.slow

SERVER = """
import http.server, signal
signal.signal(signal.SIGTERM, lambda *_: exit())
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"from the pod")
http.server.HTTPServer(("", 8080), Answer).serve_forever()
"""
CALL = "import urllib.request as u; print(u.urlopen('http://{}', timeout=3).read().decode())"

# A pod may be Ready before the node's rules for its Service are: as every client of a Service, ask again for a while.
ASK = """
import time, urllib.request as u
end = time.monotonic() + 20
while True:
    try:
        print(u.urlopen('http://{}', timeout=3).read().decode()); break
    except OSError:
        if time.monotonic() > end: raise
        time.sleep(0.2)
"""


def service(name: str) -> dict[str, Any]:
    spec = {"type": "NodePort", "selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


@contextmanager
def served(cluster: Cluster, name: str) -> Iterator[int]:
    """A pod that answers behind a Service; its port on the node."""
    cluster.kubectl.apply([pod(name, SERVER, labels={"app": name}), service(name)])
    try:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", timeout_s=70)
        yield cluster.kubectl.get("service", name)["spec"]["ports"][0]["nodePort"]
    finally:
        cluster.kubectl("delete", "--wait=false", f"pod/{name}", f"service/{name}")


def said(cluster: Cluster, name: str, code: str) -> str:
    """What a pod that runs to its end wrote."""
    cluster.kubectl.apply([pod(name, code)])
    try:
        until(lambda: cluster.kubectl.get("pod", name)["status"]["phase"] in {"Succeeded", "Failed"})
        return cluster.kubectl("logs", name).strip()
    finally:
        cluster.kubectl("delete", "--wait=false", f"pod/{name}")


def call(host: Host, target: str) -> str:
    """What a host of the premises gets from there; empty if nothing."""
    return ssh(host.folder, host.address, f'python3 -c "{CALL.format(target)}" 2>/dev/null || true').strip()


def test_a_persons_kubectl_sees_the_node_ready(cluster: Cluster) -> None:
    told = subprocess.run(
        [cluster.kubectl.program, "get", "nodes", "-l", "!scenario-lab/fake", "--no-headers"],
        env={"KUBECONFIG": str(cluster.kubeconfig)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert told[:2] == [NODE, "Ready"]
    assert cluster.kubeconfig.stat().st_mode & 0o777 == 0o600


def test_the_node_has_disk_that_pods_may_reserve(cluster: Cluster) -> None:
    there = cluster.kubectl.get("node", NODE)["status"]["allocatable"]
    assert int(there["ephemeral-storage"]) > 2**30
    reserving = pod("reserving", "print('here')")
    reserving["spec"]["containers"][0]["resources"] = {"requests": {"ephemeral-storage": "1Mi"}}
    cluster.kubectl.apply([reserving])
    try:
        until(lambda: cluster.kubectl.get("pod", "reserving")["status"]["phase"] == "Succeeded")
    finally:
        cluster.kubectl("delete", "--wait=false", "pod/reserving")


def test_a_service_account_may_not_read_secrets(cluster: Cluster) -> None:
    asked = ["auth", "can-i", "list", "secrets", "--as=system:serviceaccount:default:default"]
    assert not cluster.kubectl.succeeds(*asked)
    assert cluster.kubectl.succeeds("auth", "can-i", "list", "secrets"), "which the person may"


def test_a_pod_resolves_a_service_by_name_and_is_answered(cluster: Cluster) -> None:
    with served(cluster, "by-name"):
        assert (
            said(cluster, "asks-by-name", ASK.format("by-name.default.svc.cluster.local")) == "from the pod"
        )


def test_premises_reach_a_pod_only_through_their_router(lab: Lab, cluster: Cluster) -> None:
    (host,), wan, addresses = lab.premises.hosts, Wan(lab.premises.space), lab.premises.addresses
    with served(cluster, "at-the-node") as port:
        target = f"{addresses.cloud}:{port}"
        before = wan.capture()[host.name]
        until(lambda: call(host, target) == "from the pod", timeout_s=20)
        passed = wan.capture()[host.name] - before
        assert passed.sent >= 4, "the router saw the call"
        assert passed.received >= 4, "and the answer"
        inner = cluster.kubectl.get("pod", "at-the-node")["status"]["podIP"]
        assert call(host, f"{inner}:8080") == "", "there is no other way to it"
        wan.cut()
        try:
            before = wan.capture()[host.name]
            assert call(host, target) == ""
            assert (wan.capture()[host.name] - before).refused > 0
            assert cluster.kubectl("get", "--raw", "/readyz") == "ok", "this machine's link is another one"
        finally:
            wan.restore()
        assert call(host, target) == "from the pod"


def test_neither_pods_nor_premises_reach_this_machine_or_each_other(lab: Lab, cluster: Cluster) -> None:
    addresses = lab.premises.addresses
    knock = """
import socket
for target in {}:
    try:
        socket.create_connection(target, 2); print("in")
    except OSError:
        print("out")
"""
    with socket.create_server(("", 0)) as door:
        port = door.getsockname()[1]
        mine = [(addresses.machine_of_cloud, port), (addresses.machine, port)]
        for each in mine:
            socket.create_connection(each, 2).close()  # it is open
        told = said(cluster, "knocks", knock.format([*mine, (addresses.host("premises-1"), 22)]))
    assert told.split() == ["out", "out", "out"]


def test_a_program_that_was_killed_is_back_after_the_next_make_lab(
    lab: Lab, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cluster.own
    pid = cluster.own.process(scheduler(cluster.own.layout))
    assert pid
    os.kill(pid, 9)
    monkeypatch.setenv("LAB_STATE", str(lab.premises.space.folder))
    done = finish("up")
    assert done.returncode == 0, done.stderr
    assert "starting kube-scheduler, which had ended" in done.stderr
    assert f"export KUBECONFIG={cluster.kubeconfig}" in done.stderr
    assert said(cluster, "scheduled-again", "print('here')") == "here"


def test_another_cluster_is_taken_as_it_is_and_left_so(
    cluster: Cluster, lab_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cluster.kubectl.get("deployments", "--all-namespaces")
    monkeypatch.delenv("LAB_CLOUD")
    monkeypatch.setenv("LAB_KUBECONFIG", str(cluster.kubeconfig))
    done = finish("up", "--hosts", "1")
    assert done.returncode == 0, done.stderr
    assert "using the cluster of context lab unchanged: nothing is installed" in done.stderr
    assert "it lacks" not in done.stderr
    kept = lab_folder / "kubernetes" / "kubeconfig"
    assert kept.stat().st_mode & 0o777 == 0o600
    told = subprocess.run(
        [cluster.kubectl.program, f"--kubeconfig={kept}", "get", "nodes", "-o", "name"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"node/{NODE}" in told.stdout
    refused = finish("nodes", "5")
    assert refused.stderr == "lab.nodes: this cluster was given to the lab, which adds no nodes to it\n"
    done = finish("down")
    assert done.returncode == 0, done.stderr
    assert not lab_folder.exists()
    after = cluster.kubectl.get("deployments", "--all-namespaces")
    assert names(after) == names(before)


def names(told: dict[str, Any]) -> list[str]:
    return sorted(json.dumps([each["metadata"]["name"], each["spec"]]) for each in told["items"])


def test_a_cluster_that_does_not_answer_or_is_not_there_is_said_in_one_line(
    lab_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAB_CLOUD")
    monkeypatch.setenv("LAB_KUBECONFIG", str(tmp_path / "none"))
    done = finish("up", "--hosts", "1")
    assert done.returncode == 1
    assert done.stderr.endswith(f"make lab: LAB_KUBECONFIG={tmp_path}/none: no such file\n")
    silent = tmp_path / "config"
    silent.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "gone", "cluster": {"server": "https://127.0.0.1:9"}}],
                "users": [{"name": "me", "user": {}}],
                "contexts": [{"name": "prod", "context": {"cluster": "gone", "user": "me"}}],
                "current-context": "prod",
            }
        )
    )
    monkeypatch.setenv("LAB_KUBECONFIG", str(silent))
    done = finish("up", "--hosts", "1")
    assert done.returncode == 1
    assert "context prod does not answer" in done.stderr.splitlines()[-1]
    assert not (lab_folder / "kubernetes").exists()
