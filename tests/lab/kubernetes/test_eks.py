"""From a VPC to a running pod in one `pulumi up`: the lab's AWS, and the lab's Kubernetes behind its EKS."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from bootstrap.pulumi.plugins import install_kubernetes
from lab import LabError
from lab.commands import run
from lab.kubernetes import API_PORT, AWS_PORT
from lab.premises.access import ssh
from tests.lab.aws.conftest import cloud_project
from tests.lab.kubernetes.pods import pod_spec
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.compose import Lab
    from lab.kubernetes.cluster import Cluster
    from tests.pulumi_project import PulumiProject

pytestmark = pytest.mark.slow

READER = """
import boto3, os, time
aws = {"endpoint_url": "ENDPOINT", "aws_access_key_id": "lab", "aws_secret_access_key": "lab"}
print("found", *(each["Name"] for each in boto3.client("s3", **aws).list_buckets()["Buckets"]))
time.sleep(600)
"""


@pytest.fixture
def stack(
    lab: Lab, tmp_path: Path, pulumi_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PulumiProject]:
    """A stack that is not up yet, in the lab that has both sides; what it made is gone afterwards."""
    assert lab.aws
    for name, value in lab.aws.environment.items():
        monkeypatch.setenv(name, value)
    project = cloud_project(tmp_path, pulumi_engine, lab.aws)
    install_kubernetes(Path(project.environment["PULUMI_HOME"]), pulumi_engine)
    yield project
    project.pulumi("destroy", "--yes", "--skip-preview")


# `make test` does this with a pod that trains: tests/end_to_end/test_s2_cloud_training.py.
@pytest.mark.soak
def test_a_pod_runs_in_the_cluster_of_the_stack_and_reaches_its_bucket(
    stack: PulumiProject, lab: Lab, cluster: Cluster
) -> None:
    assert lab.aws
    pod = pod_spec(READER.replace("ENDPOINT", lab.aws.endpoint))
    stack.up(pod=pod)
    bucket = stack.output("bucket")
    until(lambda: f"found {bucket}" in cluster.kubectl("logs", "trainer"))
    assert stack.unchanged(pod=pod)

    said = stack.preview(pod=pod, round="second")
    assert '"first" => "second"' in said
    assert "~ 1 to update" in said
    stack.up(pod=pod, round="second")
    cluster.kubectl("label", "pod/trainer", "round=by-hand", "--overwrite")
    said = stack.pulumi("refresh", "--yes", "--skip-preview", "--diff", pod=pod, round="second")
    assert '"second" => "by-hand"' in said

    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert not cluster.kubectl("get", "pods", "--ignore-not-found", "trainer").strip()
    assert boto3.client("eks").list_clusters()["clusters"] == []
    assert boto3.client("s3").list_buckets()["Buckets"] == []


def test_who_has_no_access_entry_gets_no_further_than_the_api_server(
    stack: PulumiProject, lab: Lab, cluster: Cluster
) -> None:
    assert cluster.own
    said = subprocess.run(
        ["aws", "eks", "get-token", "--cluster-name", "none", "--output", "text", "--query", "status.token"],
        env=stack.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    access = (
        "--kubeconfig=/dev/null",
        f"--server=https://{lab.premises.addresses.cloud_inside}:{API_PORT}",
        f"--certificate-authority={cluster.own.layout.certificate('ca')}",
        f"--token={said.stdout.strip()}",
    )
    with pytest.raises(LabError, match=r"Unauthorized|logged in"):
        run([str(cluster.kubectl.program), *access, "get", "pods"])


def test_the_premises_reach_the_lab_s_aws_as_the_cloud_that_it_is(lab: Lab) -> None:
    host = lab.premises.hosts[0]
    url = f"http://{lab.premises.addresses.cloud}:{AWS_PORT}/moto-api/"
    ask = f"python3 -c \"import urllib.request as u; print(u.urlopen('{url}', timeout=3).status)\""
    assert ssh(host.folder, host.address, ask).strip() == "200"
