"""A stack whose state is in a bucket: another machine, with another checkout and home, goes on where the first stopped.

The bucket and the key are moto's.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from lab.aws import plugin
from tests import buckets
from tests.cli.conftest import ROOT, SETUP, Tree, new_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.aws.lifecycle import Aws

pytestmark = pytest.mark.slow

UP = 'stack.create(); stack.recover(); stack.pulumi("up", "--yes", "--skip-preview")'
NO_CHANGE = 'stack.pulumi("preview", "--expect-no-changes")'
SECRET = 'print(stack.outputs()["secret"])'
BUCKET = "states-of-two-machines"


@pytest.fixture(autouse=True)
def bucket(aws_api: Aws) -> Iterator[Any]:
    """The backend."""
    boto3.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    yield boto3.resource("s3").Bucket(BUCKET)
    buckets.remove(BUCKET)


@pytest.fixture
def machines(tmp_path: Path, bucket: Any) -> tuple[Tree, Tree]:
    """Two machines that share nothing but the backend; neither has a passphrase."""
    return machine(tmp_path / "first"), machine(tmp_path / "second")


def machine(path: Path) -> Tree:
    tree = new_tree(path / "checkout")
    (path / "home").mkdir()
    inherited = {name: value for name, value in tree.environment.items() if not name.startswith("PULUMI")}
    tree.environment = inherited | {"HOME": str(path / "home"), "PULUMI_BACKEND_URL": f"s3://{BUCKET}/team"}
    return tree


def encrypt(encrypted_by: str, first: Tree, second: Tree) -> None:
    """Give both the team's passphrase; or the first one a key: the state says which for all others."""
    if encrypted_by == "a passphrase":
        for each in (first, second):
            each.environment["PULUMI_CONFIG_PASSPHRASE"] = "of the team"
        return
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    first.environment["PULUMI_OPTION_SECRETS_PROVIDER"] = f"awskms:///{key}?region=eu-central-1"


def plain(tree: Tree) -> dict[str, str]:
    """The variables with which plain `pulumi` works on a machine, as `make env` prints them."""
    code = "import json; print(json.dumps(stack.full_environment()))"
    variables: dict[str, str] = json.loads(tree.python(code).stdout)
    return variables


def start(tree: Tree, *arguments: str) -> subprocess.Popen[str]:
    tree.environment = plain(tree)
    return tree.start(*arguments)


def change(tree: Tree, seconds: float) -> None:
    lines = [line for line in tree.settings.read_text().splitlines() if ":seconds:" not in line]
    lines.insert(lines.index("config:") + 1, f"  model-deployment-scenarios:seconds: {seconds}")
    tree.settings.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("encrypted_by", ["a passphrase", "a key"])
def test_another_machine_goes_on_with_the_state_and_its_secrets(
    machines: tuple[Tree, Tree], encrypted_by: str, bucket: Any
) -> None:
    first, second = machines
    encrypt(encrypted_by, first, second)
    first.python(UP)
    content = b"".join(each.get()["Body"].read() for each in bucket.objects.all())
    assert b"pulumi-python:dynamic" in content
    assert b"planted-value" not in content

    with second.settings.open("a") as file:
        file.write("encryptionsalt: v1:e5vtMDXse04=:v1:WzSiIaBq5dn7LD18:2ZpDwqM5JF0sx/TTAI1P3BfggWyjsA==\n")
    done = second.python(f"stack.create(); stack.recover(); {SECRET}; {NO_CHANGE}")
    assert done.stdout.startswith("planted-value\n")
    assert "removed the salt of another state from Pulumi.s3-local.yaml" in done.stderr
    change(second, 0.01)
    second.python(UP)
    change(first, 0.01)
    assert first.python(f"{NO_CHANGE}; {SECRET}").stdout.endswith("planted-value\n")
    kept = {line.partition(":")[0]: line for line in first.settings.read_text().splitlines()}
    assert {"encryptionsalt", "encryptedkey"} & set(kept)
    for name in ("encryptionsalt", "secretsprovider", "encryptedkey"):
        assert kept.get(name, "") in second.settings.read_text().splitlines() or name not in kept
    for each in machines:
        assert not (each.path / ".state" / "passphrase").exists(), "which no other machine would have"


def test_without_a_passphrase_or_a_key_nothing_is_made_and_both_are_named(
    machines: tuple[Tree, Tree], bucket: Any
) -> None:
    done = machines[0].python("stack.create()", check=False)
    assert "PULUMI_CONFIG_PASSPHRASE" in done.stderr
    assert "PULUMI_OPTION_SECRETS_PROVIDER=awskms://" in done.stderr
    assert not [each.key for each in bucket.objects.all() if each.key.endswith("s3-local.json")]


def test_a_run_that_still_lives_or_was_killed_is_named_and_the_other_machine_goes_on(
    machines: tuple[Tree, Tree],
) -> None:
    first, second = machines
    encrypt("a passphrase", first, second)
    first.python("stack.create()")
    change(first, 60)
    run = start(first, "up", "--yes", "--skip-preview")
    wait_for(first.path / "creating")
    refused = second.python(UP, check=False).stderr
    assert f"s3-local is locked by {user_and_host()} (pid {run.pid}) at " in refused
    assert "pulumi cancel --yes --stack s3-local" in refused
    assert run.poll() is None, "it was not disturbed"

    run.send_signal(signal.SIGKILL)
    run.communicate()
    refused = second.python(UP, check=False).stderr
    assert f"(pid {run.pid})" in refused, "nobody here can know that it is gone"
    second.python('stack.pulumi("cancel", "--yes")')
    change(second, 0)
    done = second.python(f"{UP}; {NO_CHANGE}")
    assert "recovery: pending creates with unknown outcome: creating thing" in done.stderr
    change(first, 0)
    first.python(f"stack.create(); stack.recover(); {NO_CHANGE}")


def user_and_host() -> str:
    said = subprocess.run(
        ["sh", "-c", "echo $(id -un)@$(hostname)"], capture_output=True, text=True, check=True
    )
    return said.stdout.strip()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


CLOUD = """
import pulumi, pulumi_aws as aws
config = pulumi.Config()
made = aws.eks.Cluster(
    "training", name="training", role_arn=config.require("role"),
    vpc_config={"subnet_ids": [config.require("subnet")]}, tags=config.get_object("tags"),
)
aws.eks.Addon("coredns", cluster_name=made.name, addon_name="coredns")
pulumi.export("authority", made.certificate_authority.data)
"""


def put_cloud_into(tree: Tree, role: str, subnet: str, endpoint: str, tags: dict[str, str]) -> None:
    """A program with a cluster in the lab's AWS, and all that its recovery needs."""
    (tree.path / "__main__.py").write_text(CLOUD)
    shutil.copytree(ROOT / "recovery", tree.path / "recovery")
    (tree.path / ".venv").symlink_to(sys.prefix)
    own = {"role": role, "subnet": subnet, "tags": json.dumps(tags)}
    values = {f"model-deployment-scenarios:{name}": value for name, value in own.items()}
    values |= plugin.stack_configuration(endpoint)
    values["aws:defaultTags"] = json.dumps({"tags": {"scenario:stack": "one"}})
    lines = [f"  {name}: {json.dumps(value)}" for name, value in values.items()]
    tree.settings.write_text("\n".join(["config:", *lines, ""]))
    if programs := plugin.stand_in(tree.path / "plugin"):
        tree.environment["PATH"] += f":{programs}"


def test_a_cluster_that_aws_was_making_at_the_kill_is_waited_for_and_the_other_machine_goes_on(
    machines: tuple[Tree, Tree], aws: Aws
) -> None:
    first, second = machines
    boto3.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    encrypt("a passphrase", first, second)
    ec2, eks = boto3.client("ec2"), boto3.client("eks")
    role = boto3.client("iam").create_role(RoleName="cluster", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    vpc = ec2.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.80.0.0/24")["Subnet"]["SubnetId"]
    slow = {"lab:creating-seconds": "100000"}
    put_cloud_into(first, role, subnet, aws.endpoint, slow)
    put_cloud_into(second, role, subnet, aws.endpoint, {})
    first.python("stack.create()")
    run = start(first, "up", "--yes", "--skip-preview")
    deadline = time.monotonic() + 60
    while not eks.list_clusters()["clusters"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert "endpoint" not in eks.describe_cluster(name="training")["cluster"]

    in_cloud = 'stack = Stack(name="s3-local", environment=variables, in_cloud=True)'
    second.python('stack.pulumi("cancel", "--yes")')
    with subprocess.Popen(
        [sys.executable, "-c", f"{SETUP}\n{in_cloud}; {UP}; {NO_CHANGE}"],
        cwd=second.path, env=second.environment, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as going_on:  # fmt: skip
        assert going_on.stderr
        said = []
        for line in going_on.stderr:
            said.append(line)
            if "recovery: waiting for the cluster training, which is CREATING" in line:
                arn = eks.describe_cluster(name="training")["cluster"]["arn"]
                eks.untag_resource(resourceArn=arn, tagKeys=list(slow))
    assert going_on.returncode == 0, "".join(said)
    assert any("recovery: import_pending: Cluster training is training" in line for line in said)
    assert eks.list_addons(clusterName="training")["addons"] == ["coredns"]
    outputs = second.python('print(stack.outputs()["authority"])').stdout.strip()
    assert outputs == eks.describe_cluster(name="training")["cluster"]["certificateAuthority"]["data"]
    second.python('stack.pulumi("destroy", "--yes", "--skip-preview")')
