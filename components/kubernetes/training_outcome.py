"""The outcome of a job in a cluster, as a resource: it waits, shows progress, and returns the release."""

from __future__ import annotations

import sys
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.dynamic import Provider, settle_in
from components.errors import ClusterError
from components.kubernetes.access import NoAnswerError, connected
from components.kubernetes.watching import Watch

Properties = dict[str, Any]

_RESULTS: Properties = {"release": "", "evaluation": {}, "passed": False, "tokens": 0, "seconds": 0.0}
"""The results, as they are before the job has ended. Without a value a preview would call them unknown, and with
them everything that depends on them changed."""


class TrainingOutcomeProvider(Provider):
    """Watches an existing job; creates and removes nothing.

    Its class is stored by name, not by value, so that later runs use the current code.
    """

    def create(self, props: Properties) -> CreateResult:
        """Wait for the job's end, or return at once."""
        settle_in()
        return CreateResult(str(props["job"]), {**props, **_outcome(props)})

    def update(self, _id: str, _olds: Properties, news: Properties) -> UpdateResult:
        """Wait for a new job's end; one that has ended is not waited for."""
        settle_in()
        return UpdateResult({**news, **_outcome(news)})

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Check whether a job that was not waited for has ended; keep the known outcome if it is gone."""
        settle_in()
        try:
            with connected(props["kubeconfig"], props["namespace"], props["job"]) as reader:
                found = Watch(reader, queue_timeout_s=0).once()
        except (NoAnswerError, ClusterError) as error:
            print(f"{props['job']}: {error}", file=sys.stderr, flush=True)
            found = None
        current = {**props, **(_results(found) if found else {})}
        return ReadResult(id_, current, {key: each for key, each in current.items() if key not in _RESULTS})


class TrainingOutcome(Resource, module="kubernetes", name="TrainingOutcome"):
    """A job that succeeded; one that fails, or whose gate refuses the model, fails the update.

    Updated in place for a new job: earlier ones are history, as with training on the premises.
    """

    release: pulumi.Output[str]
    evaluation: pulumi.Output[dict[str, Any]]
    passed: pulumi.Output[bool]
    tokens: pulumi.Output[int]
    seconds: pulumi.Output[float]

    def __init__(
        self,
        name: str,
        *,
        kubeconfig: pulumi.Input[str],
        namespace: pulumi.Input[str],
        job: pulumi.Input[str],
        wait: bool,
        queue_timeout_s: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the outcome of a job under `name`."""
        inputs = {
            "kubeconfig": pulumi.Output.secret(kubeconfig),
            "namespace": namespace,
            "job": job,
            "wait": wait,
            "queue_timeout_s": queue_timeout_s,
        }
        secret = pulumi.ResourceOptions(additional_secret_outputs=["kubeconfig"])
        super().__init__(
            TrainingOutcomeProvider(),
            name,
            {**inputs, **dict.fromkeys(_RESULTS)},
            pulumi.ResourceOptions.merge(opts, secret),
        )


def _outcome(props: Properties) -> Properties:
    if not props["wait"]:
        return dict(_RESULTS)
    with connected(props["kubeconfig"], props["namespace"], props["job"]) as reader:
        return _results(Watch(reader, queue_timeout_s=float(props["queue_timeout_s"])).until_ended())


def _results(told: Properties) -> Properties:
    return {name: told.get(name, empty) for name, empty in _RESULTS.items()}
