"""Training as a resource: a run is named after its inputs, so the same inputs never train twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pulumi.dynamic import Resource

from components.ansible.playbook import PlaybookArgs, PlaybookProvider, playbook_inputs
from components.errors import PremisesError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from components.ansible.events import Report

    Properties = dict[str, Any]

_OUTPUTS = (
    "run",
    "release",
    "passed",
    "promoted",
    "evaluation",
    "tokens",
    "seconds",
    "directory",
    "verification_key",
)


@dataclass(frozen=True, kw_only=True)
class TrainingRunArgs:
    """Inputs of a training run.

    Attributes:
        playbook: the training playbook, its hosts, and its dependencies.
        foundation: `{kind, path?}` of the model to start from.
        data: `{kind, path?, held_out}` of the training texts.
        recipe: method, rank, learning rate and so on; defaults are the model package's.
        gate: criteria the trained model must meet to be promoted.

    """

    playbook: PlaybookArgs
    foundation: Mapping[str, Any]
    data: Mapping[str, Any]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)


class TrainingRunProvider(PlaybookProvider):
    """A playbook provider that takes foundation, data, recipe and gate, and returns a run and its release."""

    def outputs(self, report: Report) -> Properties:
        """Return the run, its release, and its evaluation."""
        result = self._result(report)
        return {"changes": report.changes} | {name: result.get(name) for name in _OUTPUTS}

    def output_names(self) -> frozenset[str]:
        """Return the names of `outputs`."""
        return frozenset({"changes", *_OUTPUTS})

    def variables(self, props: Properties) -> Properties:
        """Return Ansible's extra variables: the playbook's own, and the run's inputs by the role's names."""
        return {
            **super().variables(props),
            "foundation": props["foundation"],
            "training_data": props["data"],
            "recipe": props["recipe"],
            "gate": props["gate"],
        }

    @staticmethod
    def _result(report: Report) -> Properties:
        result = report.results.get("training_result")
        if not isinstance(result, dict) or not result.get("run"):
            message = f"{report.playbook} ended without reporting its run (set_stats training_result.run)"
            raise PremisesError(message)
        return result


class TrainingRun(Resource, module="premises", name="TrainingRun"):
    """A model trained, evaluated, signed and, if it passed its gate, promoted.

    A run that fails its gate fails the update and leaves the previous release serving. Deleting it removes
    nothing: runs and releases are history, and are removed with the premises.
    """

    run: pulumi.Output[str]
    release: pulumi.Output[str]
    passed: pulumi.Output[bool]
    promoted: pulumi.Output[bool]
    evaluation: pulumi.Output[dict[str, Any]]
    directory: pulumi.Output[str]
    """Path of the release on the first training host."""
    verification_key: pulumi.Output[str]
    """Path of its verification key on that host."""
    changes: pulumi.Output[dict[str, int]]

    def __init__(self, name: str, args: TrainingRunArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the run under `name`."""
        inputs = {
            **playbook_inputs(args.playbook),
            "foundation": dict(args.foundation),
            "data": dict(args.data),
            "recipe": dict(args.recipe),
            "gate": dict(args.gate),
        }
        super().__init__(
            TrainingRunProvider(), name, {**inputs, **dict.fromkeys(("changes", *_OUTPUTS))}, opts
        )
