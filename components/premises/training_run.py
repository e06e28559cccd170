"""Training as a resource: a run is named by what goes into it, so the same inputs never train twice."""

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
    """What a training run is made from.

    Attributes:
        playbook: the playbook that trains, its hosts, and what it is run after.
        foundation: `{kind, path?}` of the model to start from.
        data: `{kind, path?, held_out}` of the texts to learn.
        recipe: method, rank, learning rate and so on; what is left out keeps the model package's default.
        gate: what the trained model must reach to be promoted.

    """

    playbook: PlaybookArgs
    foundation: Mapping[str, Any]
    data: Mapping[str, Any]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)


class TrainingRunProvider(PlaybookProvider):
    """A playbook provider that takes foundation, data, recipe and gate, and returns a run and its release."""

    def outputs(self, report: Report) -> Properties:
        """Return the run, its release, and how it was judged."""
        result = self._result(report)
        return {"changes": report.changes} | {name: result.get(name) for name in _OUTPUTS}

    def output_names(self) -> frozenset[str]:
        """Return the names of `outputs`."""
        return frozenset({"changes", *_OUTPUTS})

    def variables(self, props: Properties) -> Properties:
        """Return Ansible's extra variables: the playbook's own, and the run's parts by the role's names."""
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
            message = (
                f"{report.playbook} ended without saying which run it made (set_stats training_result.run)"
            )
            raise PremisesError(message)
        return result


class TrainingRun(Resource, module="premises", name="TrainingRun"):
    """A model trained, evaluated, signed and, if it passed its gate, promoted.

    A run that fails its gate fails the update and leaves the previous one, and what serves, as they are.
    Deleting it removes nothing: runs and releases are history, and go with the premises.
    """

    run: pulumi.Output[str]
    release: pulumi.Output[str]
    passed: pulumi.Output[bool]
    promoted: pulumi.Output[bool]
    evaluation: pulumi.Output[dict[str, Any]]
    directory: pulumi.Output[str]
    """Where the release is on the first host that trains."""
    verification_key: pulumi.Output[str]
    """Where the key that verifies it is, there."""
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
