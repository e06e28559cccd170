"""A gang of pods as a JobSet: all or none of them, found by name, hardened, and started again together.

JobSet gives each pod a name that its peers resolve; torchrun meets at the first of them. Every process says
by its exit code whether to go on: 0 it is done, 1 and 2 it is decided and a repetition would say the same,
anything else it can be started again. A lost pod ends the collective of all, so all start again.
Source: <https://jobset.sigs.k8s.io/docs/concepts/>,
<https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pulumi

    from components.kubernetes.job_args import SecretKey, TrainingJobArgs

INSTANCE = "app.kubernetes.io/instance"
"""The label by which a gang's pods know each other, whatever the configuration they train."""

_WORKERS = "workers"
_CONTAINER = "trainer"
_USER = 65532  # the image's own
_PORT = 29500
_LAUNCHER_ENDS_S = 10
"""What is left of a pod's grace for the launcher itself, when its processes had the rest to save."""
_HOSTNAME = "kubernetes.io/hostname"
_DECIDED = [1, 2]
# The words of Kubernetes' job controller, which tell what a job failed of.
_DECIDED_WORDS = "failed with exit code [12] "
_DISRUPTED_WORDS = "has condition DisruptionTarget "
# An autoscaler would move a pod whose node is little used, and with it the whole gang.
_STAYS = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
_ADDRESS = f"$(JOBSET)-{_WORKERS}-0-0.$(JOBSET)"


def job_set(name: str, args: TrainingJobArgs, config_map: pulumi.Input[str]) -> dict[str, Any]:
    """Return the specification of the JobSet that trains with the `job.json` of a ConfigMap.

    It does not say `suspend`: Kueue does, and lets go when it admits the whole.
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
        # Names are there before pods are ready, because pods wait for each other to become so.
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
        "failurePolicy": {
            "maxRestarts": args.restarts,
            # The next ones start when the last are gone: two generations would save over each other.
            "restartStrategy": "BlockingRecreate",
            "rules": [
                _rule("decided", "FailJobSet", _DECIDED_WORDS),
                _rule("disrupted", "RestartJobSetAndIgnoreMaxRestarts", _DISRUPTED_WORDS),
            ],
        },
        "replicatedJobs": [{"name": _WORKERS, "replicas": 1, "template": {"spec": workers}}],
    }


def labels(name: str) -> dict[str, str]:
    """Return the labels of a gang's objects."""
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
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(args, with_keys=bool(keys))],
        "volumes": volumes,
        **({"affinity": spread} if args.spread and args.pods > 1 else {}),
    }


def _container(args: TrainingJobArgs, *, with_keys: bool) -> dict[str, Any]:
    requests = args.size.requests()
    mounts = [
        {"name": "config", "mountPath": "/config", "readOnly": True},
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - the pod's own
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
        # A failed pod's last lines are in its status then, also when its log has gone with its node.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": mounts,
    }


def _rendezvous(args: TrainingJobArgs) -> list[str]:
    """Return torchrun's arguments; Kubernetes puts in what is the pod's own."""
    return [
        f"--nnodes={args.pods}",
        f"--nproc-per-node={max(1, args.size.gpus)}",
        "--node-rank=$(JOB_COMPLETION_INDEX)",
        f"--master-addr={_ADDRESS}",
        f"--master-port={_PORT}",
        # Else it kills them after 30 s, whatever the pod has.
        f"--shutdown-timeout={max(1, args.grace_s - _LAUNCHER_ENDS_S)}",
    ]


def _environment(args: TrainingJobArgs) -> list[dict[str, Any]]:
    own = {"fieldRef": {"fieldPath": "metadata.labels['jobset.sigs.k8s.io/jobset-name']"}}
    plain: dict[str, pulumi.Input[str]] = {**args.environment}
    if args.size.efa:
        # Huge pages would have to be asked for beside; libfabric does without.
        plain = {"FI_PROVIDER": "efa", "FI_EFA_USE_HUGE_PAGE": "0", **plain}
    # Sorted: the order of a mapping is not to make another job of it.
    return [
        {"name": "JOBSET", "valueFrom": own},
        *({"name": each, "value": plain[each]} for each in sorted(plain)),
        *(
            {"name": each, "valueFrom": {"secretKeyRef": {"name": key.secret, "key": key.key}}}
            for each, key in sorted(args.secret_environment.items())
        ),
    ]


def _key_volume(file: str, key: SecretKey) -> dict[str, Any]:
    return {"secret": {"name": key.secret, "items": [{"key": key.key, "path": file}]}}
