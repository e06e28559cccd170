"""A platform and a training job on it, shaped by the JSON in SHAPE."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

from components.credentials import ApiKey
from components.kubernetes.charts import Chart, Charts
from components.kubernetes.isolation import Destination
from components.kubernetes.job_args import PodSize, SecretKey, TrainingJobArgs
from components.kubernetes.node_agents import NodeAgents
from components.kubernetes.platform import Platform, PlatformArgs
from components.kubernetes.queues import Flavor
from components.kubernetes.training_job import TrainingJob

shape = json.loads(os.environ.get("SHAPE", "{}"))
kubeconfig = pulumi.Output.secret(Path(shape["kubeconfig"]).read_text(encoding="utf-8"))
store: pulumi.Input[str] = "s3://releases"
if shape.get("unknown"):  # as where the same program makes the cluster and the bucket
    made = ApiKey("made-later").key
    kubeconfig, store = pulumi.Output.unsecret(made.apply(lambda _: "")), made
inside = pulumi.ResourceOptions(provider=k8s.Provider("inside", kubeconfig=kubeconfig))
charts = {name: Chart(**chart) for name, chart in shape.get("charts", {}).items()}
platform = Platform(
    "platform",
    PlatformArgs(
        namespace=shape["namespace"],
        flavors=[Flavor(**each) for each in shape["flavors"]],
        charts=Charts(**charts) if charts else None,
        destinations=[Destination(name="bucket", cidrs=["10.213.99.0/24"])],
        agents=NodeAgents(node_labels={"no-such": "node"}, efa_plugin="efa:1") if "agents" in shape else None,
    ),
    inside,
)
if "job" in shape:
    job = shape["job"]
    keys = {use: SecretKey(secret="signing", key=key) for use, key in job.pop("secrets", {}).items()}
    training = TrainingJob(
        job.pop("name", "sft"),
        TrainingJobArgs(
            namespace=platform.namespace,
            queue=platform.queue,
            service_account=platform.service_account,
            kubeconfig=kubeconfig,
            config={"recipe": job.pop("recipe", {}), "store": store, **job.pop("config", {})},
            size=PodSize(**job.pop("size")),
            flavors=platform.flavors if job.pop("check", False) else (),
            secret_files={"signing.pem": keys["file"]} if keys else {},
            secret_environment={"TOKEN": keys["environment"]} if keys else {},
            **job,
        ),
        pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=[platform])),
    )
    pulumi.export("job", training.job)
    pulumi.export("release", training.release)
    pulumi.export("evaluation", training.evaluation)
    pulumi.export("passed", training.passed)
    pulumi.export("tokens", training.tokens)
    pulumi.export("seconds", training.seconds)
