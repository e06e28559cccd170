"""Reads a cluster's API with a kubeconfig that is never written to disk."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.config import ConfigException

from components.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator

_JOB_SETS = ("jobset.x-k8s.io", "v1alpha2")
_WORKLOADS = ("kueue.x-k8s.io", "v1beta2")
_SECONDS = 30
_DATA = "-data"
_NOT_THERE = 404
_REFUSED = (401, 403)
# Event reasons: of pods by Kubernetes, of jobs by JobSet.
_NOT_MADE = ("FailedCreate", "JobCreationFailed")


class NoAnswerError(Exception):
    """Transient API failure; the caller may retry."""


class Reader:
    """Reads one JobSet: the object, its workload in the queue, its pods, their logs, or why they could not be
    created."""

    def __init__(self, api: client.ApiClient, namespace: str, job: str) -> None:
        self._custom, self._core = client.CustomObjectsApi(api), client.CoreV1Api(api)
        self._namespace, self.job = namespace, job

    def job_set(self) -> dict[str, Any] | None:
        """Return the JobSet; None if there is none."""
        with _understood():
            return _object(
                self._custom.get_namespaced_custom_object(
                    *_JOB_SETS, self._namespace, "jobsets", self.job, _request_timeout=_SECONDS
                )
            )
        return None

    def workload(self, job_uid: str) -> dict[str, Any] | None:
        """Return a JobSet's workload in its queue; None if there is none yet."""
        with _understood():
            told = _object(
                self._custom.list_namespaced_custom_object(
                    *_WORKLOADS,
                    self._namespace,
                    "workloads",
                    label_selector=f"kueue.x-k8s.io/job-uid={job_uid}",
                    _request_timeout=_SECONDS,
                )
            )
            return next(iter(told["items"]), None)
        return None

    def pods(self) -> list[dict[str, Any]]:
        """Return the JobSet's existing pods."""
        with _understood():
            # Raw: the client's own classes reject newer fields.
            answer: Any = self._core.list_namespaced_pod(
                self._namespace,
                label_selector=f"jobset.sigs.k8s.io/jobset-name={self.job}",
                _preload_content=False,
                _request_timeout=_SECONDS,
            )
            told: list[dict[str, Any]] = json.loads(answer.data)["items"]
            return told
        return []

    def refused(self) -> list[dict[str, Any]]:
        """Return the events that explain why the JobSet or one of its jobs could not create its objects.

        Kubernetes keeps them for an hour. Empty, too, without permission to read events: no run fails because
        of that.
        """
        try:
            answer: Any = self._core.list_namespaced_event(
                self._namespace,
                field_selector="type=Warning",
                _preload_content=False,
                _request_timeout=_SECONDS,
            )
        except (client.ApiException, urllib3.exceptions.HTTPError):
            return []
        told: list[dict[str, Any]] = json.loads(answer.data)["items"]
        return [
            each
            for each in told
            if each.get("reason") in _NOT_MADE
            and f"{each['involvedObject'].get('name')}-".startswith(f"{self.job}-")
        ]

    def log(self, pod: str, lines: int) -> list[tuple[str, str]]:
        """Return a pod's last log lines with timestamps; empty if the log does not exist yet or any more."""
        try:
            answer: Any = self._core.read_namespaced_pod_log(
                pod,
                self._namespace,
                tail_lines=lines,
                timestamps=True,
                _preload_content=False,
                _request_timeout=_SECONDS,
            )
        except (client.ApiException, urllib3.exceptions.HTTPError):
            return []
        text = answer.data.decode("utf-8", errors="replace")
        return [(time, said) for time, _, said in (line.partition(" ") for line in text.splitlines())]


@contextlib.contextmanager
def connected(kubeconfig: str, namespace: str, job: str) -> Iterator[Reader]:
    """Yield a reader of one JobSet.

    Raises:
        ClusterError: the kubeconfig is unusable, with the client's message.

    """
    try:
        told = yaml.safe_load(kubeconfig)
        if not isinstance(told, dict):
            raise ClusterError("invalid kubeconfig: it must be the content of a kubeconfig file")
        with contextlib.ExitStack() as files:
            _keep_in_memory(told, files)
            api = config.new_client_from_config_dict(told, persist_config=False)  # type: ignore[no-untyped-call]
            files.callback(api.close)
            yield Reader(api, namespace, job)
    except (ConfigException, yaml.YAMLError) as error:
        # Only the type of a YAML error: its text quotes the file.
        words = error if isinstance(error, ConfigException) else type(error).__name__
        raise ClusterError(f"invalid kubeconfig: {' '.join(str(words).split())}") from None


def _keep_in_memory(kubeconfig: dict[str, Any], files: contextlib.ExitStack) -> None:
    """Keep certificates and keys in files in this process's memory, as TLS needs files.

    The client would write them to the temporary folder, where a killed process leaves them.
    """
    for kind, holder in (("clusters", "cluster"), ("users", "user")):
        for entry in kubeconfig.get(kind) or []:
            body = entry.get(holder) or {}
            for name in [each for each in body if each.endswith(_DATA)]:
                descriptor = os.memfd_create(name)
                files.callback(os.close, descriptor)
                os.write(descriptor, base64.b64decode(body.pop(name)))
                body[name.removesuffix(_DATA)] = f"/proc/self/fd/{descriptor}"


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """Map API errors: 404 is ignored, 401/403 are fatal, the rest is retryable."""
    try:
        yield
    except client.ApiException as error:
        if error.status in _REFUSED:
            message = (
                f"the cluster denies access to the job ({error.status} {error.reason}); allow the kubeconfig's "
                "user to get jobsets, workloads, pods and pods/log in the job's namespace"
            )
            raise ClusterError(message) from None
        if error.status != _NOT_THERE:
            raise NoAnswerError(f"{error.status} {error.reason}") from None
    except urllib3.exceptions.HTTPError as error:
        raise NoAnswerError(" ".join(str(error).split())) from None


def _object(told: Any) -> dict[str, Any]:
    found: dict[str, Any] = told
    return found
