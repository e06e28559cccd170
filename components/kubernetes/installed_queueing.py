"""Kueue and JobSet of a cluster: whether they are there, new enough, and answer, before anything needs them."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource

from components.dynamic import Provider, settle_in
from components.errors import ClusterError
from components.kubernetes.access import CredentialsError, NoAnswerError, connected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.kubernetes.access import Reader

    Properties = dict[str, Any]

_QUEUES, _JOBS = "clusterqueues.kueue.x-k8s.io", "jobsets.jobset.x-k8s.io"
_PATIENCE_S, _PAUSE_S = 60.0, 1.0
_OR_INSTALL = "upgrade it, or remove it and set cloud:queueing to install"


class InstalledQueueingProvider(Provider):
    """Reads two definitions of the cluster's API, and has Kueue judge an object. It makes and removes nothing."""

    def create(self, props: Properties) -> CreateResult:
        """Look for both. Raises ClusterError for what is missing, or too old."""
        settle_in()
        try:
            with connected(props["kubeconfig"], "", "") as reader:
                wrong = [*_wrong_kueue(reader.definition(_QUEUES)), *_wrong_jobset(reader.definition(_JOBS))]
                if not wrong:
                    _wait_for(reader)
        except (NoAnswerError, CredentialsError) as error:
            raise ClusterError(f"the cluster does not answer: {error}") from None
        except ClusterError as error:
            print(f"Kueue and JobSet were not checked: {error}", file=sys.stderr, flush=True)
            wrong = []
        if wrong:
            raise ClusterError("; ".join(wrong))
        return CreateResult("checked", props)

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        """What was there once is there: removing it would show itself."""
        return DiffResult(changes=False)


class InstalledQueueing(Resource, module="kubernetes", name="InstalledQueueing"):
    """A cluster with Kueue and JobSet; its queue depends on this."""

    def __init__(
        self, name: str, kubeconfig: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the question for a cluster under `name`."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["kubeconfig"])
        inputs = {"kubeconfig": pulumi.Output.secret(kubeconfig)}
        super().__init__(
            InstalledQueueingProvider(), name, inputs, pulumi.ResourceOptions.merge(opts, secret)
        )


def _wait_for(reader: Reader) -> None:
    """Wait until Kueue judges what is sent to it: a pod that is ready is a moment ahead of the way that leads to it.

    Raises NoAnswerError if it still does not after a minute.
    """
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return reader.would_queue()
        except NoAnswerError as error:
            if time.monotonic() > end:
                raise NoAnswerError(f"{error}, when asked to have Kueue judge a flavor") from None
        time.sleep(_PAUSE_S)


def _wrong_kueue(definition: Mapping[str, Any] | None) -> list[str]:
    if definition is None:
        return ["Kueue is not in the cluster: install 0.15 or later, or set cloud:queueing to install"]
    served = [each["name"] for each in definition["spec"]["versions"] if each["served"]]
    if "v1beta2" not in served:
        return [f"Kueue in the cluster serves {', '.join(served)}, and v1beta2 came with 0.15: {_OR_INSTALL}"]
    return []


def _wrong_jobset(definition: Mapping[str, Any] | None) -> list[str]:
    if definition is None:
        return ["JobSet is not in the cluster: install 0.10 or later, or set cloud:queueing to install"]
    # The job's failure policy tells failures apart by messages.
    path = ("spec", "failurePolicy", "rules")
    for version in definition["spec"]["versions"]:
        found = version["schema"]["openAPIV3Schema"]
        for name in path:
            found = found.get("properties", {}).get(name, {})
        if "onJobFailureMessagePatterns" in found.get("items", {}).get("properties", {}):
            return []
    return [f"JobSet in the cluster tells no failures apart by messages, which came with 0.10: {_OR_INSTALL}"]
