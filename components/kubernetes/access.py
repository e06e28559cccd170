"""Reads a cluster's API with a kubeconfig that is never written to disk."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
from typing import TYPE_CHECKING, Any

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.config import ConfigException

from components.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_JOB_SETS = ("jobset.x-k8s.io", "v1alpha2")
_WORKLOADS = ("kueue.x-k8s.io", "v1beta2")
_SECONDS = 30
_DATA = "-data"
_UNKNOWN, _DENIED, _NOT_THERE = 401, 403, 404
_NOT_STARTED = "400 "  # how the answer begins to a question for the log of a container that waits
# Event reasons: of pods by Kubernetes, of jobs by JobSet.
_NOT_MADE = ("FailedCreate", "JobCreationFailed")


class NoAnswerError(Exception):
    """Transient API failure; the caller may retry."""


class CredentialsError(NoAnswerError):
    """The cluster does not accept the credentials, or there are none. The next request is made with new ones."""


class Reader:
    """Reads one JobSet: the object, its workload in the queue, its pods, their logs, or why they could not be
    created.

    A run may outlive its credentials. Tokens that say when they expire are renewed by the client; a refused one
    (401) is replaced by connecting anew, which runs the kubeconfig's plugin or reads its token's file again.
    """

    def __init__(self, connect: Callable[[], client.ApiClient], namespace: str, job: str) -> None:
        self._connect, self._namespace, self.job = connect, namespace, job
        self._api: client.ApiClient | None = None

    def connect(self) -> client.ApiClient:
        """Return the connection, made if there is none. Raises CredentialsError."""
        if self._api is None:
            self._api = self._connect()
        return self._api

    def disconnect(self) -> None:
        """Close the connection; the next request makes another one."""
        if self._api is not None:
            self._api.close()  # type: ignore[no-untyped-call]
            self._api = None

    def job_set(self) -> dict[str, Any] | None:
        """Return the JobSet; None if there is none."""
        with self._asked() as api:
            return _object(
                client.CustomObjectsApi(api).get_namespaced_custom_object(
                    *_JOB_SETS, self._namespace, "jobsets", self.job, _request_timeout=_SECONDS
                )
            )
        return None

    def workload(self, job_uid: str) -> dict[str, Any] | None:
        """Return a JobSet's workload in its queue; None if there is none yet."""
        with self._asked() as api:
            told = _object(
                client.CustomObjectsApi(api).list_namespaced_custom_object(
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
        with self._asked() as api:
            # Raw: the client's own classes reject newer fields.
            answer: Any = client.CoreV1Api(api).list_namespaced_pod(
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
        told: list[dict[str, Any]] = []
        with contextlib.suppress(ClusterError, NoAnswerError), self._asked() as api:
            answer: Any = client.CoreV1Api(api).list_namespaced_event(
                self._namespace,
                field_selector="type=Warning",
                _preload_content=False,
                _request_timeout=_SECONDS,
            )
            told = json.loads(answer.data)["items"]
        return [
            each
            for each in told
            if each.get("reason") in _NOT_MADE
            and f"{each['involvedObject'].get('name')}-".startswith(f"{self.job}-")
        ]

    def log(self, pod: str, lines: int) -> list[tuple[str, str]]:
        """Return a pod's last log lines with timestamps; empty if the log does not exist yet or any more.

        Raises NoAnswerError if it could not be read this time.
        """
        try:
            with self._asked() as api:
                answer: Any = client.CoreV1Api(api).read_namespaced_pod_log(
                    pod,
                    self._namespace,
                    tail_lines=lines,
                    timestamps=True,
                    _preload_content=False,
                    _request_timeout=_SECONDS,
                )
                text = answer.data.decode("utf-8", errors="replace")
                return [(time, said) for time, _, said in (line.partition(" ") for line in text.splitlines())]
        except ClusterError:
            pass
        except NoAnswerError as error:
            # Otherwise the log, perhaps with the result, is there, and is read the next time.
            if not str(error).startswith(_NOT_STARTED):
                raise
        return []

    def definition(self, name: str) -> dict[str, Any] | None:
        """Return the definition of a kind of the cluster's API, `PLURAL.GROUP`; None if there is none."""
        with self._asked() as api:
            answer: Any = client.ApiextensionsV1Api(api).read_custom_resource_definition(
                name, _preload_content=False, _request_timeout=_SECONDS
            )
            return _object(json.loads(answer.data))
        return None

    def would_queue(self) -> None:
        """Have Kueue judge an object of its own, which is not made. Raises NoAnswerError if it does not answer."""
        flavor = {
            "apiVersion": "/".join(_WORKLOADS),
            "kind": "ResourceFlavor",
            "metadata": {"generateName": "try-"},
        }
        with self._asked() as api:
            client.CustomObjectsApi(api).create_cluster_custom_object(
                *_WORKLOADS, "resourceflavors", flavor, dry_run="All", _request_timeout=_SECONDS
            )

    @contextlib.contextmanager
    def _asked(self) -> Iterator[client.ApiClient]:
        """Map API errors: 404 is ignored, 403 is fatal, the rest is retryable, 401 with new credentials."""
        try:
            api = self.connect()
            # A plugin that fails shortly before the credentials expire is not the user's concern yet.
            with _root_log():
                yield api
        except client.ApiException as error:
            if error.status == _UNKNOWN:
                self.disconnect()
                raise CredentialsError(f"{error.status} {error.reason}") from None
            if error.status == _DENIED:
                message = (
                    f"the cluster denies access to the job ({error.status} {error.reason}); allow the kubeconfig's "
                    "user to get jobsets, workloads, pods and pods/log in the job's namespace"
                )
                raise ClusterError(message) from None
            if error.status != _NOT_THERE:
                raise NoAnswerError(f"{error.status} {error.reason}") from None
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswerError(" ".join(str(error).split())) from None


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
            reader = Reader(lambda: _client(told), namespace, job)
            files.callback(reader.disconnect)
            with contextlib.suppress(CredentialsError):  # later there may be some
                reader.connect()
            yield reader
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


def _client(kubeconfig: dict[str, Any]) -> client.ApiClient:
    """Return a client with the credentials of this moment.

    Raises:
        CredentialsError: a plugin gave none, with its words. The client itself would ask without any, which
            clusters refuse like a user without rights.

    """
    connect: Callable[..., client.ApiClient] = config.new_client_from_config_dict
    with _root_log() as words:
        made = connect(kubeconfig, persist_config=False)
    if words and not (made.configuration.api_key or made.configuration.cert_file):
        made.close()  # type: ignore[no-untyped-call]
        raise CredentialsError(words[-1])
    return made


@contextlib.contextmanager
def _root_log() -> Iterator[list[str]]:
    """Collect what is logged by `logging.error` itself, as the client logs a plugin's failure."""
    words: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        words.append(" ".join(record.getMessage().split()))
        return False

    logging.getLogger().addFilter(keep)
    try:
        yield words
    finally:
        logging.getLogger().removeFilter(keep)


def _object(told: Any) -> dict[str, Any]:
    found: dict[str, Any] = told
    return found
