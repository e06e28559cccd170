"""A job's worker pods as a JobSet: all or none, with stable DNS names, hardened, and restarted together.

JobSet gives each pod a name that its peers resolve; torchrun's rendezvous is at the first one. Exit codes
decide on restarts: 0 is success, 1 and 2 are final (a repetition would end the same), anything else is
retryable. A lost pod breaks the collective, so all restart. The job itself ends with 1 where restarts make no progress
(docs/decisions/0085-restarts-that-make-progress.md). Source:
<https://jobset.sigs.k8s.io/docs/concepts/>,
<https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.kubernetes.hardening import CONTAINER_SECURITY, POD_SECURITY

if TYPE_CHECKING:
    import pulumi

    from components.kubernetes.job_args import SecretKey, TrainingJobArgs

INSTANCE = "app.kubernetes.io/instance"
"""The label that a job's pods have in common, whatever configuration they train."""

_WORKERS = "workers"
_CONTAINER = "trainer"
_PORT = 29500
_LAUNCHER_ENDS_S = 10
"""The part of a pod's grace period reserved for the launcher; its processes have the rest to save."""
_HOSTNAME = "kubernetes.io/hostname"
_DECIDED = [1, 2]
# Messages of Kubernetes' job controller about why a job failed.
_DECIDED_WORDS = "failed with exit code [12] "
_DISRUPTED_WORDS = "has condition DisruptionTarget "
# An autoscaler would evict a pod from an underused node, and with it the whole job.
_STAYS = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
_ADDRESS = f"$(JOBSET)-{_WORKERS}-0-0.$(JOBSET)"


def job_set(name: str, args: TrainingJobArgs, config_map: pulumi.Input[str]) -> dict[str, Any]:
    """Return the specification of the JobSet that trains with the `job.json` of a ConfigMap.

    It does not set `suspend`: Kueue does, and clears it when it admits the job.
    """
    workers = {
        "parallelism": args.pods,
        "completions": args.pods,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": _CONTAINER, "operator": "In", "values": _DECIDED},
                },
            ]
        },
        "template": {
            "metadata": {"labels": labels(name), "annotations": {**_STAYS, **_placement(args)}},
            "spec": _pod(name, args, config_map),
        },
    }
    return {
        # Publish names before pods are ready, because pods wait for each other to become ready.
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
        "failurePolicy": {
            "maxRestarts": args.restarts,
            # New pods start only after the old ones are gone: two generations would overwrite each other's
            # checkpoints.
            "restartStrategy": "BlockingRecreate",
            "rules": [
                _rule("decided", "FailJobSet", _DECIDED_WORDS),
                _rule("disrupted", "RestartJobSetAndIgnoreMaxRestarts", _DISRUPTED_WORDS),
            ],
        },
        "replicatedJobs": [{"name": _WORKERS, "replicas": 1, "template": {"spec": workers}}],
    }


def labels(name: str) -> dict[str, str]:
    """Return the labels of a job's objects."""
    return {
        "app.kubernetes.io/name": "scenario-model",
        "app.kubernetes.io/component": "training",
        INSTANCE: name,
    }


def _rule(name: str, action: str, words: str) -> dict[str, Any]:
    return {
        "name": name,
        "action": action,
        "onJobFailureReasons": ["PodFailurePolicy"],
        "onJobFailureMessagePatterns": [words],
    }


def _placement(args: TrainingJobArgs) -> dict[str, str]:
    return {"kueue.x-k8s.io/podset-preferred-topology": args.nearby} if args.nearby else {}


def _pod(name: str, args: TrainingJobArgs, config_map: pulumi.Input[str]) -> dict[str, Any]:
    apart = {"labelSelector": {"matchLabels": {INSTANCE: name}}, "topologyKey": _HOSTNAME}
    keys = [_key_volume(file, each) for file, each in args.secret_files.items()]
    volumes = [
        {"name": "config", "configMap": {"name": config_map}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": args.size.shared_memory}},
        {"name": "scratch", "emptyDir": {"sizeLimit": args.size.scratch}},
        {"name": "tmp", "emptyDir": {}},
    ]
    if keys:
        volumes.append({"name": "keys", "projected": {"sources": keys, "defaultMode": 0o440}})
    volumes += [
        {"name": f"image-{each}", "image": {"reference": args.images[each]}} for each in sorted(args.images)
    ]
    spread = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}}
    return {
        "restartPolicy": "Never",
        "serviceAccountName": args.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": args.grace_s,
        "securityContext": POD_SECURITY,
        "containers": [_container(args, with_keys=bool(keys))],
        "volumes": volumes,
        **({"affinity": spread} if args.spread and args.pods > 1 else {}),
        **args.placing.specification(),
    }


def _container(args: TrainingJobArgs, *, with_keys: bool) -> dict[str, Any]:
    requests = args.size.requests()
    mounts = [
        {"name": "config", "mountPath": "/config", "readOnly": True},
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - private to the pod
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
    ]
    if with_keys:
        mounts.append({"name": "keys", "mountPath": "/keys", "readOnly": True})
    mounts += [
        {"name": f"image-{each}", "mountPath": f"/images/{each}", "readOnly": True}
        for each in sorted(args.images)
    ]
    return {
        "name": _CONTAINER,
        "image": args.image,
        "command": ["python3", *args.launcher],
        "args": [*_rendezvous(args), *args.program],
        "env": _environment(args),
        "resources": {
            "requests": requests,
            "limits": {each: amount for each, amount in requests.items() if each != "cpu"},
        },
        # Keeps a failed pod's last lines in its status, also when its log is lost with its node.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": mounts,
    }


def _rendezvous(args: TrainingJobArgs) -> list[str]:
    """Return torchrun's arguments; Kubernetes substitutes pod-specific values."""
    return [
        f"--nnodes={args.pods}",
        f"--nproc-per-node={max(1, args.size.gpus)}",
        "--node-rank=$(JOB_COMPLETION_INDEX)",
        f"--master-addr={_ADDRESS}",
        f"--master-port={_PORT}",
        # A pod whose node came early waits as long for the others as the job may wait for nodes.
        f"--rdzv-conf=timeout={args.queue_timeout_s}",
        # Otherwise it kills them after 30 s, whatever the pod's grace period.
        f"--shutdown-timeout={max(1, args.grace_s - _LAUNCHER_ENDS_S)}",
    ]


def _environment(args: TrainingJobArgs) -> list[dict[str, Any]]:
    own = _field("metadata.labels['jobset.sigs.k8s.io/jobset-name']")
    plain: dict[str, pulumi.Input[str]] = {**args.environment}
    if args.size.efa:
        # Huge pages would need a separate request; libfabric works without them.
        plain = {"FI_PROVIDER": "efa", "FI_EFA_USE_HUGE_PAGE": "0", **plain}
    # Sorted: the order of a mapping must not change the job's identity.
    return [
        {"name": "JOBSET", "valueFrom": own},
        {"name": "NODE", "valueFrom": _field("spec.nodeName")},
        *({"name": each, "value": plain[each]} for each in sorted(plain)),
        *(
            {"name": each, "valueFrom": {"secretKeyRef": {"name": key.secret, "key": key.key}}}
            for each, key in sorted(args.secret_environment.items())
        ),
    ]


def _field(path: str) -> dict[str, Any]:
    return {"fieldRef": {"fieldPath": path}}


def _key_volume(file: str, key: SecretKey) -> dict[str, Any]:
    return {"secret": {"name": key.secret, "items": [{"key": key.key, "path": file}]}}
