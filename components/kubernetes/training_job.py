"""Training in a cluster as a resource: worker pods named after their inputs."""

from __future__ import annotations

import hashlib
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.kubernetes.job_args import TrainingJobArgs, require_possible
from components.kubernetes.job_set import INSTANCE, job_set, labels
from components.kubernetes.training_outcome import TrainingOutcome

_JOB_SET = "jobset.x-k8s.io/v1alpha2"
_QUEUE = "kueue.x-k8s.io/queue-name"
_DIGITS = 10


class TrainingJob(pulumi.ComponentResource):
    """A JobSet that Kueue admits as a whole, its configuration, network policy and outcome.

    The same inputs have the same name and so are the same job, which never runs twice; changed inputs replace
    it with a new job. Trained models stay in the store.

    Attributes:
        job: the JobSet's name, which ends with a digest of configuration, image and layout.
        release: the resulting release, `name@sha256:…`; empty until it is known (`wait: False`).
        passed: whether the release passed its gate.
        evaluation: the gate's figures.
        tokens: number of tokens trained.
        seconds: duration of the training.

    """

    job: pulumi.Output[str]
    release: pulumi.Output[str]
    passed: pulumi.Output[bool]
    evaluation: pulumi.Output[dict[str, Any]]
    tokens: pulumi.Output[int]
    seconds: pulumi.Output[float]

    def __init__(self, name: str, args: TrainingJobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the job.

        Raises:
            ClusterError: no cluster would accept it, or its queue would never admit it.

        """
        require_possible(name, args)
        super().__init__("scenario:kubernetes:TrainingJob", name, {}, opts)
        own = pulumi.ResourceOptions(parent=self)
        config = pulumi.Output.json_dumps(args.config, sort_keys=True, indent=1)
        config_map = _named(name, config)
        spec = job_set(name, args, config_map)
        self.job = _named(name, pulumi.Output.json_dumps(spec, sort_keys=True))
        before = [
            k8s.core.v1.ConfigMap(
                name,
                metadata={"name": config_map, "namespace": args.namespace, "labels": labels(name)},
                data={"job.json": config},
                immutable=True,
                opts=own,
            ),
            _peers(name, args, own),
        ]
        workers = k8s.apiextensions.CustomResource(
            name,
            api_version=_JOB_SET,
            kind="JobSet",
            metadata={
                "name": self.job,
                "namespace": args.namespace,
                "labels": {**labels(name), _QUEUE: args.queue},
            },
            spec=spec,
            # The previous job is deleted first: it may hold the quota that this one needs.
            opts=pulumi.ResourceOptions(parent=self, depends_on=before, delete_before_replace=True),
        )
        outcome = TrainingOutcome(
            name,
            kubeconfig=args.kubeconfig,
            namespace=args.namespace,
            job=self.job,
            wait=args.wait,
            queue_timeout_s=args.queue_timeout_s,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[workers]),
        )
        self.release, self.passed, self.evaluation = outcome.release, outcome.passed, outcome.evaluation
        self.tokens, self.seconds = outcome.tokens, outcome.seconds
        self.register_outputs({"job": self.job, "release": self.release, "passed": self.passed})


def _named(name: str, content: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return a name that is unique to the content."""
    return content.apply(lambda text: f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}")


def _peers(name: str, args: TrainingJobArgs, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """Let the pods of one job talk to each other; the namespace's default denies all traffic."""
    peers = [{"podSelector": {"matchLabels": {INSTANCE: name}}}]
    return k8s.networking.v1.NetworkPolicy(
        name,
        metadata={"name": f"{name}-peers", "namespace": args.namespace, "labels": labels(name)},
        spec={
            "podSelector": {"matchLabels": {INSTANCE: name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": peers}],
            "egress": [{"to": peers}],
        },
        opts=opts,
    )
