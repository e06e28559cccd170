"""What s2-cloud-training declares, and what it refuses before anybody is asked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pulumi
import pytest

import tests.aws_sdk  # noqa: F401 loads it
from recovery.aws.import_pending import BY_TAG
from scenario_model.serve import credentials
from stacks.s2_cloud_training import Settings
from stacks.settings.read import PROJECT, read_settings
from tests.components.aws.declaring import S3_ADDRESSES
from tests.model.report import made as report
from tests.pulumi_mocks import mocked
from tests.stacks import declaring
from tests.stacks.declaring import config_of

if TYPE_CHECKING:
    from collections.abc import Iterator

STACK = "s2-cloud-training"
PINNED = f"registry.example/models/small@sha256:{'0' * 64}"
FILE = Path(__file__).parents[2] / "stacks" / f"Pulumi.{STACK}.yaml"


def config(**changes: Any) -> dict[str, str]:
    return config_of(STACK, **changes)


class Declared(pulumi.runtime.Mocks):
    """Answers as an engine that makes everything at once; keeps what was declared."""

    def __init__(self) -> None:
        self.resources: dict[str, list[dict[str, Any]]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        declaring.judge(STACK, args)
        self.resources.setdefault(args.typ, []).append(args.inputs)
        made = {"arn": f"arn:of:{args.name}", "bucket": args.name, **args.inputs}
        made["certificateAuthority"] = {"data": "Q0E="}
        made["vpcConfig"] = {**args.inputs.get("vpcConfig", {}), "clusterSecurityGroupId": "sg-0"}
        made["resources"] = [{"autoscalingGroups": [{"name": "eks-group"}]}]
        made |= {"cidrBlocks": S3_ADDRESSES, "latestVersion": 1, "release": f"assistant@sha256:{'0' * 64}"}
        return f"{args.name}-id", made

    def call(self, args: pulumi.runtime.MockCallArgs) -> NoReturn:
        raise AssertionError(f"a preview asks nobody, but {args.token} was called")


@pytest.fixture
def declared() -> Iterator[Declared]:
    mocks = Declared()
    with mocked(mocks, project=PROJECT, stack=STACK):
        yield mocks


def declare(settings: dict[str, str]) -> dict[str, Any]:
    return declaring.declare(STACK, settings)


def refuses(changes: dict[str, Any], expected: str) -> None:
    """Insist that the shipped file with these changes is refused, in one line that says this."""
    with pytest.raises(pulumi.RunError) as error:
        declare(config(**changes))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_one_stack_goes_from_the_network_to_the_training_job(declared: Declared) -> None:
    outputs = declare(config())
    assert {"release", "release_uri", "verification_key", "cluster", "scenario", "placement"} <= set(outputs)
    for token in ("aws:ec2/vpc:Vpc", "aws:eks/cluster:Cluster", "aws:s3/bucket:Bucket"):
        assert len(declared.resources[token]) == 1, token
    (job,) = declared.resources["kubernetes:jobset.x-k8s.io/v1alpha2:JobSet"]
    (workers,) = job["spec"]["replicatedJobs"]
    assert workers["template"]["spec"]["parallelism"] == 2
    container = workers["template"]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"


def test_what_has_an_id_and_no_name_of_its_own_is_tagged_with_a_name_that_no_other_has(
    declared: Declared,
) -> None:
    plugin, nodes = "mirror/efa-plugin:1", {"instance_type": "p5.48xlarge", "maximum": 2}
    declare(config(cloud__nodes=nodes, cloud__efa_plugin=plugin))
    of_serving = {"aws:ec2/vpcEndpointService:VpcEndpointService"}
    assert set(BY_TAG) - of_serving <= set(declared.resources), "all of these types are in the largest stack"
    for kind in sorted(set(BY_TAG.values())):
        tokens = [token for token, called in BY_TAG.items() if called == kind]
        names = [each["tags"]["Name"] for token in tokens for each in declared.resources.get(token, [])]
        assert len(set(names)) == len(names), kind
    keys = [each["tags"]["Name"] for each in declared.resources["aws:kms/key:Key"]]
    assert len(set(keys)) == len(keys)


def test_the_job_reads_what_the_settings_say(declared: Declared) -> None:
    declare(config(own__release={"name": "helper", "channel": "beta"}))
    maps = declared.resources["kubernetes:core/v1:ConfigMap"]
    told = json.loads(maps[0]["data"]["job.json"])
    assert told["foundation"]["uri"] == "s3://your-models/SmolLM2-135M-Instruct"
    assert told["recipe"] == {"method": "lora", "rank": 16}
    assert told["release"] == {"name": "helper", "channel": "beta"}
    assert told["signing_key"] == "kms:arn:of:signing"
    assert told["save_before"] is None


def test_a_foundation_model_may_come_in_an_image_of_its_own_or_in_that_which_trains(
    declared: Declared,
) -> None:
    declare(config(own__foundation={"kind": "image", "path": "/models/small"}))
    declare(config(own__foundation={"kind": "image", "path": "/small", "image": PINNED}))
    maps = declared.resources["kubernetes:core/v1:ConfigMap"]
    assert [json.loads(each["data"]["job.json"])["foundation"] for each in maps] == [
        {"kind": "directory", "path": "/models/small"},
        {"kind": "directory", "path": "/images/foundation/small"},
    ]
    jobs = declared.resources["kubernetes:jobset.x-k8s.io/v1alpha2:JobSet"]
    pods = [each["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"] for each in jobs]
    images = [[each["image"] for each in pod["volumes"] if "image" in each] for pod in pods]
    assert images == [[], [{"reference": PINNED}]]


def test_without_a_way_out_every_image_comes_from_the_mirror(declared: Declared) -> None:
    plugin = "mirror/eks/aws-efa-k8s-device-plugin:v0.5.6"
    nodes = {"instance_type": "p5.48xlarge", "maximum": 2}
    declare(config(cloud__nat=False, cloud__registry="mirror", cloud__nodes=nodes, cloud__efa_plugin=plugin))
    sets = declared.resources["kubernetes:apps/v1:DaemonSet"]
    images = {each["spec"]["template"]["spec"]["containers"][0]["image"] for each in sets}
    assert len(images) == 3
    for release in declared.resources["kubernetes:helm.sh/v3:Release"]:
        values = release["values"].get("controllerManager", {}).get("manager", release["values"])
        images.add(values["image"]["repository"])
    assert len(images) == 6
    assert all(image.startswith("mirror/") for image in images), images


def test_nodes_that_may_be_fewer_get_an_autoscaler_with_rights_for_this_clusters_groups_alone(
    declared: Declared,
) -> None:
    def autoscalers() -> list[dict[str, Any]]:
        found = declared.resources.get("kubernetes:helm.sh/v3:Release", [])
        return [each for each in found if each["name"] == "cluster-autoscaler"]

    declare(config(cloud__queueing="existing"))
    declare(config(cloud__nodes={"instance_type": "g6.2xlarge", "minimum": 2, "maximum": 2}))
    assert autoscalers() == []
    declare(config())
    (release,) = autoscalers()
    assert release["values"]["autoDiscovery"] == {"clusterName": STACK}
    assert release["values"]["image"]["tag"] == "v1.35.0", "as the cluster's version"
    associations = declared.resources["aws:eks/podIdentityAssociation:PodIdentityAssociation"]
    assert (release["namespace"], release["values"]["rbac"]["serviceAccount"]["name"]) in [
        (each["namespace"], each["serviceAccount"]) for each in associations
    ]
    policies = [json.loads(each["policy"]) for each in declared.resources["aws:iam/rolePolicy:RolePolicy"]]
    (scale,) = [each for policy in policies for each in policy["Statement"] if each.get("Sid") == "Scale"]
    assert scale["Condition"] == {"StringEquals": {"aws:ResourceTag/eks:cluster-name": STACK}}


def test_charts_come_from_a_folder_where_the_internet_is_not(
    declared: Declared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(tmp_path / "charts")
    files = ["jobset-0.12.0.tgz", "kueue-0.19.2.tgz", "cluster-autoscaler-9.59.0.tgz"]
    with pytest.raises(pulumi.RunError) as error:
        declare(config(cloud__charts=folder))
    said, _, commands = str(error.value).partition("; ")
    assert said == f"cloud:charts: {folder} lacks {', '.join(files)}", "all at once, the autoscaler's too"
    assert re.findall(
        r"helm pull \S+?/([a-z-]+[\d.]*(?:tgz)?)(?: --version \S+)? --destination", commands
    ) == [
        "jobset",
        "kueue",
        "cluster-autoscaler-9.59.0.tgz",
    ]

    monkeypatch.setenv("SCENARIO_PREVIEW", "elsewhere")  # where files of the machine that deploys are not
    declared.resources.clear()
    declare(config(cloud__charts=folder))
    assert all("://" in each["chart"] for each in declared.resources["kubernetes:helm.sh/v3:Release"])
    monkeypatch.delenv("SCENARIO_PREVIEW")

    declared.resources.clear()
    Path(folder).mkdir()
    for name in files:
        Path(folder, name).touch()
    declare(config(cloud__charts=folder))
    releases = declared.resources["kubernetes:helm.sh/v3:Release"]
    assert sorted(each["chart"] for each in releases) == sorted(map(str, Path(folder).iterdir()))
    assert not any("version" in each for each in releases)


def test_another_retrain_key_is_another_job_with_the_same_configuration(declared: Declared) -> None:
    declare(config(own__training={"image": "i", "pods": 2, "retrain_key": "2026-W48"}))
    (job,) = declared.resources["kubernetes:jobset.x-k8s.io/v1alpha2:JobSet"]
    container = job["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "RETRAIN_KEY", "value": "2026-W48"} in container["env"]
    (config_map,) = declared.resources["kubernetes:core/v1:ConfigMap"]
    assert "2026-W48" not in config_map["data"]["job.json"]


def test_a_report_that_asks_for_retraining_is_a_new_retrain_key_and_acts_once(
    declared: Declared, tmp_path: Path
) -> None:
    tls = credentials.ensure(tmp_path / "tls", ["localhost"], report.BEFORE).directory
    asks, warns = (tmp_path / name for name in ("asks.json", "warns.json"))
    report.written(asks, tls)
    report.written(warns, tls, [report.window(0, 50_000, both=False)])
    training = {"image": "i", "pods": 2, "retrain_key": "w1", "reports_authority": str(tls / "ca.pem")}

    def key(*reports: Path) -> str:
        declared.resources.clear()
        declare(config(own__training=training | {"reports": list(map(str, reports))}))
        (job,) = declared.resources["kubernetes:jobset.x-k8s.io/v1alpha2:JobSet"]
        (pod,) = job["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"]
        (found,) = (each["value"] for each in pod["env"] if each["name"] == "RETRAIN_KEY")
        return str(found)

    assert key() == key(warns) == "w1"
    once = key(asks, warns)
    assert re.fullmatch(r"w1\+[0-9a-f]{16}", once)
    report.written(asks, tls)  # ECDSA signs the same otherwise each time
    assert key(asks) == once
    report.written(later := tmp_path / "later.json", tls, report.asking(4))
    assert key(asks, later) == key(later, asks) != once


def test_reports_that_cannot_be_trusted_or_are_about_another_model_fail_the_preview(
    declared: Declared, tmp_path: Path
) -> None:
    tls = credentials.ensure(tmp_path / "tls", ["localhost"], report.BEFORE).directory
    other = credentials.ensure(tmp_path / "other", ["localhost"]).directory
    file = report.written(tmp_path / "report.json", tls)
    training = {"image": "i", "pods": 2, "reports": [str(file)]}
    trusted = training | {"reports_authority": str(tls / "ca.pem")}
    untrusted = training | {"reports_authority": str(other / "ca.pem")}
    for settings, expected in (
        (
            {"own__training": training},
            r"nobody says whose reports may be trusted; set training\.reports_authority",
        ),
        (
            {"own__training": untrusted},
            r"training\.reports: .*report\.json: its signer was not known to the authority",
        ),
        (
            {"own__training": trusted, "own__release": {"name": "mailer"}},
            r"is about assistant@sha256:a+, and this stack trains mailer",
        ),
    ):
        with pytest.raises(pulumi.RunError, match=expected):
            declare(config(**settings))
    assert not declared.resources


def in_a_cluster(kubeconfig: str = "~/config", **training: Any) -> dict[str, str]:
    """The settings for a cluster of the user's own."""
    settings = {key: each for key, each in config().items() if not key.startswith(("aws:", "cloud:"))}
    told = {
        "kind": "kubernetes",
        "kubeconfig": kubeconfig,
        "store": "s3://releases/team",
        "region": "us-east-1",
        "endpoint": "https://10.9.0.5",
        "quota": {"cpu": "8", "memory": "1024Gi"},
        "credentials": "bucket",
        "taints": [{"key": "nvidia.com/gpu"}, {"key": "team", "value": "ml", "effect": "NoExecute"}],
        "pull_secrets": ["registry"],
        "runtime_class": "nvidia",
        "queueing": "existing",
        "destinations": [{"name": "bucket", "cidrs": ["10.9.0.0/16"]}],
    }
    workers = {"image": "registry/model:1", "pods": 2, "cpu": "2", "memory": "8Gi", **training}
    given = {f"cloud:{name}": value for name, value in told.items()} | {f"{PROJECT}:training": workers}
    return settings | {
        key: each if isinstance(each, str) else json.dumps(each) for key, each in given.items()
    }


def test_a_cluster_of_ones_own_gets_the_same_job_and_nothing_of_aws(
    declared: Declared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config").write_text("{}")
    outputs = declare(in_a_cluster())
    assert outputs["release_uri"] == "s3://releases/team"
    assert not [token for token in declared.resources if token.startswith("aws:")]
    (job,) = declared.resources["kubernetes:jobset.x-k8s.io/v1alpha2:JobSet"]
    pod = job["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    assert (pod["imagePullSecrets"], pod["runtimeClassName"]) == ([{"name": "registry"}], "nvidia")
    assert "tolerations" not in pod, "Kueue adds them to the pods that it admits"
    (nodes,) = declared.resources["kubernetes:kueue.x-k8s.io/v1beta2:ResourceFlavor"]
    assert nodes["spec"]["tolerations"] == [
        {"key": "nvidia.com/gpu", "effect": "NoSchedule", "operator": "Exists"},
        {"key": "team", "effect": "NoExecute", "operator": "Equal", "value": "ml"},
    ]
    container = pod["containers"][0]
    secret = {"secretKeyRef": {"name": "bucket", "key": "AWS_ACCESS_KEY_ID"}}
    assert {"name": "AWS_ACCESS_KEY_ID", "valueFrom": secret} in container["env"]
    assert {"name": "AWS_REGION", "value": "us-east-1"} in container["env"]
    assert {"name": "AWS_ENDPOINT_URL_S3", "value": "https://10.9.0.5"} in container["env"]
    (queue,) = declared.resources["kubernetes:kueue.x-k8s.io/v1beta2:ClusterQueue"]
    (flavor,) = queue["spec"]["resourceGroups"][0]["flavors"]
    assert flavor["resources"][1] == {"name": "memory", "nominalQuota": "1Ti"}, "as Kueue writes it"


def pod_of(declared: Declared) -> dict[str, Any]:
    (job,) = declared.resources["kubernetes:jobset.x-k8s.io/v1alpha2:JobSet"]
    pod: dict[str, Any] = job["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    return pod


def scratch_of(declared: Declared) -> tuple[Any, Any, Any, Any]:
    """A pod's volume, request and limit, and what its program is told in bytes."""
    pod = pod_of(declared)
    (volume,) = [each["emptyDir"]["sizeLimit"] for each in pod["volumes"] if each["name"] == "scratch"]
    asked = pod["containers"][0]["resources"]
    maps = declared.resources["kubernetes:core/v1:ConfigMap"]
    told = json.loads(maps[0]["data"]["job.json"])["scratch_bytes"]
    disk = "ephemeral-storage"
    return volume, asked["requests"].get(disk), asked["limits"].get(disk), told


@pytest.mark.parametrize(
    ("nodes", "training", "expected"),
    [
        ({}, {}, 314),
        ({"disk_gib": 500}, {}, 314),
        ({"instance_type": "m7i.2xlarge"}, {}, 118),
        ({"instance_type": "m7i.2xlarge", "disk_gib": 500}, {}, 387),
        ({}, {"scratch": "20Gi"}, 20),
    ],
)
def test_a_pod_may_use_and_reserves_the_disk_that_its_node_leaves(
    nodes: dict[str, Any], training: dict[str, Any], expected: int, declared: Declared
) -> None:
    chosen = {"instance_type": "g6.2xlarge", "maximum": 2, **nodes}
    declare(config(cloud__nodes=chosen, own__training={"image": "i", **training}))
    size = f"{expected}Gi"
    assert scratch_of(declared) == (size, size, size, expected * 2**30)
    (queue,) = declared.resources["kubernetes:kueue.x-k8s.io/v1beta2:ClusterQueue"]
    (group,) = queue["spec"]["resourceGroups"]
    assert "ephemeral-storage" in group["coveredResources"], (
        "Kueue admits nothing that its quota does not name"
    )
    (template,) = [
        each
        for each in declared.resources["aws:ec2/launchTemplate:LaunchTemplate"]
        if each["instanceType"] == chosen["instance_type"]
    ]
    assert template["blockDeviceMappings"][0]["ebs"]["volumeSize"] == nodes.get("disk_gib", 200)


@pytest.mark.parametrize(("quota", "reserved"), [({}, None), ({"ephemeral-storage": "1Ti"}, "50Gi")])
def test_in_a_cluster_of_ones_own_a_pod_has_50_gib_and_reserves_them_if_the_quota_names_disks(
    quota: dict[str, str], reserved: str | None, declared: Declared
) -> None:
    settings = in_a_cluster("/dev/null")
    settings["cloud:quota"] = json.dumps({**json.loads(settings["cloud:quota"]), **quota})
    declare(settings)
    assert scratch_of(declared) == ("50Gi", reserved, reserved, 50 * 2**30)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (in_a_cluster("/none/config"), "cloud:kubeconfig: /none/config: No such file or directory"),
        (
            in_a_cluster("/dev/null", memory="800Gi"),
            "training job training would never start: 2 pods x 800Gi",
        ),
        (
            {key: each for key, each in in_a_cluster("/dev/null").items() if key != "cloud:region"},
            "cloud:region is not set: the region of the bucket in cloud:store",
        ),
        (in_a_cluster("/dev/null", cpu=None), "set training.cpu and training.memory, the pod's requests"),
    ],
)
def test_what_a_cluster_cannot_do_is_said_in_the_preview(
    settings: dict[str, str], expected: str, declared: Declared
) -> None:
    with pytest.raises(pulumi.RunError, match=expected):
        declare(settings)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"aws__region": "eu-centrall-1"}, "no AWS region 'eu-centrall-1'; did you mean 'eu-central-1'?"),
        (
            {"cloud__nodes": {"instance_type": "p5.49xlarge", "maximum": 1}},
            "instance type 'p5.49xlarge' is not in the table",
        ),
        (
            {"cloud__nodes": {"instance_type": "m7g.xlarge", "maximum": 1}},
            "m7g.xlarge nodes have arm64 processors, and the model package's image is for x86_64",
        ),
        (
            {"cloud__system_nodes": {"instance_type": "g6.xlarge"}},
            "invalid system nodes: 2 of g6.xlarge; use one or more of a type without GPU",
        ),
        (
            {
                "cloud__nodes": {
                    "instance_type": "p5.48xlarge",
                    "maximum": 1,
                    "capacity": {"kind": "capacity-block", "reservation": "cr-0123456789abcdef0"},
                }
            },
            "the Capacity Block cr-0123456789abcdef0 needs its end",
        ),
        ({"own__training": {"image": "i", "pods": 3}}, "training job training would never start: 3 pods"),
        (
            {"own__training": {"image": "i", "gpus": 2}},
            "a pod requests 2 GPUs, but a g6.2xlarge node has 1",
        ),
        (
            {"own__training": {"image": "i", "memory": "30Gi"}},
            "a pod requests 30 GiB of memory, but a g6.2xlarge node has 29 for it",
        ),
        (
            {"own__training": {"image": "i", "scratch": "1Ti"}},
            "training.scratch is 1Ti, but a g6.2xlarge node has 314 GiB of disk for pods, beside its images; request",
        ),
        (
            {
                "own__training": {"image": "i", "scratch": "200Gi"},
                "cloud__nodes": {"instance_type": "m7i.2xlarge", "maximum": 1},
            },
            "node has 118 GiB of disk for pods, beside its images; request less, or raise cloud:nodes.disk_gib",
        ),
        ({"own__training": {"image": "i", "cpu": "7500m"}}, "7.5 vCPUs, but a g6.2xlarge node has 7 for it"),
        (
            {"own__training": {"image": "i", "cpu": "many"}},
            "training.cpu: 'many' is not a Kubernetes quantity",
        ),
        (
            {"cloud__public_from": None},
            "cloud:public_from is empty: nothing outside the network that the stack makes would reach",
        ),
        ({"cloud__nat": False}, "set cloud:registry to a mirror of them, or cloud:nat to true"),
        (
            {"cloud__nodes": {"instance_type": "p5.48xlarge", "maximum": 2}},
            "nodes of type p5.48xlarge have EFA, which needs AWS's device plugin: set cloud:efa_plugin",
        ),
        ({"aws__defaultTags": {}}, "aws:defaultTags has no tag scenario:stack: s2-cloud-training"),
        (
            {
                "cloud__version": "1.34",
                "own__foundation": {"kind": "image", "path": "/small", "image": PINNED},
            },
            "foundation.image needs Kubernetes 1.35 or later, but cloud:version is 1.34",
        ),
        (
            {"own__foundation": {"kind": "image", "path": "/small", "image": "registry/models:latest"}},
            "key 'foundation.image' is \"registry/models:latest\"; pin it by digest",
        ),
        ({"cloud__kind": "azure"}, "cloud"),
        ({"cloud__zonez": "x"}, "unknown key 'cloud:zonez'; did you mean 'zones'?"),
        ({"own__cloud": {"kind": "aws"}}, "cloud is a namespace: write cloud:kind: …"),
    ],
)
def test_what_cannot_be_is_one_clear_error_in_the_preview(
    changes: dict[str, Any], expected: str, declared: Declared
) -> None:
    refuses(changes, expected)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [(None, "set cloud:nodes.zone to it, one of eu-central-1a"), ("eu-central-1c", "add it to cloud:zones")],
)
def test_a_reservation_needs_its_zone(zone: str | None, expected: str, declared: Declared) -> None:
    reserved = {"kind": "reservation", "reservation": "cr-0123456789abcdef0"}
    nodes = {"instance_type": "g6.2xlarge", "maximum": 2, "capacity": reserved}
    with pytest.raises(pulumi.RunError, match=expected):
        declare(config(cloud__nodes=nodes | ({"zone": zone} if zone else {})))


def test_nodes_are_in_the_zone_that_is_named_and_go_before_others_come(declared: Declared) -> None:
    declare(config(cloud__nodes={"instance_type": "g6.2xlarge", "maximum": 2, "zone": "eu-central-1b"}))
    (group,) = [
        each
        for each in declared.resources["aws:eks/nodeGroup:NodeGroup"]
        if each["labels"].get("scenario/nodes") == "training"
    ]
    assert group["subnetIds"] == ["training-eu-central-1b-id"]
    assert group["updateConfig"]["updateStrategy"] == "MINIMAL"
    assert group["labels"]["k8s.amazonaws.com/accelerator"] == "nvidia-l4"


def test_the_clusters_own_services_may_run_on_cheaper_processors(declared: Declared) -> None:
    declare(config(cloud__system_nodes={"instance_type": "m7g.large", "number": 3}))
    groups = declared.resources["aws:eks/nodeGroup:NodeGroup"]
    made = {
        each["labels"]["scenario/nodes"]: (each["amiType"], each["scalingConfig"]["desiredSize"])
        for each in groups
    }
    assert made == {"system": ("AL2023_ARM_64_STANDARD", 3), "training": ("AL2023_x86_64_NVIDIA", 0)}


@pytest.mark.parametrize(("queueing", "first"), [("install", 0), ("existing", 2)])
def test_nodes_start_when_the_job_waits_if_there_is_an_autoscaler(
    queueing: str, first: int, declared: Declared
) -> None:
    declare(config(cloud__queueing=queueing))
    groups = declared.resources["aws:eks/nodeGroup:NodeGroup"]
    (training,) = [each for each in groups if each["labels"]["scenario/nodes"] == "training"]
    assert training["scalingConfig"]["desiredSize"] == first


def test_an_image_of_the_accounts_own_registry_is_asked_for_and_another_is_not(declared: Declared) -> None:
    declare(config())
    (asked,) = declared.resources["pulumi-python:dynamic/aws:PushedImage"]
    assert asked["image"].endswith(".amazonaws.com/s2-cloud-training/scenario-model:0.1.0")
    declared.resources.clear()
    declare(config(own__training={"image": "registry.example.com/model:1", "pods": 2}))
    assert "pulumi-python:dynamic/aws:PushedImage" not in declared.resources


def test_a_machine_that_is_connected_to_the_network_needs_no_address_on_the_internet(
    declared: Declared,
) -> None:
    declare(config(cloud__public_from=None, cloud__reach="network"))
    (cluster,) = declared.resources["aws:eks/cluster:Cluster"]
    assert cluster["vpcConfig"]["endpointPublicAccess"] is False


def test_what_is_true_or_false_may_be_so(declared: Declared) -> None:
    given = read_settings(Settings, STACK, config(own__training={"image": "i", "wait": False}))
    assert given.training.wait is False
