"""An Ansible playbook as a resource: sources, variables and inventory are its identity; its hosts can drift."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import CheckResult, CreateResult, ReadResult, Resource, UpdateResult
from pulumi.runtime import rpc

from components.ansible.environment import ansible_program
from components.ansible.runner import PlaybookRun, run_playbook
from components.ansible.sources import package_digest, playbook_sources
from components.dynamic import Provider, settle_in
from components.errors import PremisesError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.ansible.events import Report
    from components.ansible.inventory import Inventory

    Properties = dict[str, Any]

_NULL = "<null>"


@dataclass(frozen=True, kw_only=True)
class PlaybookArgs:
    """Inputs of a playbook.

    Attributes:
        playbook: its path below the project's root, as in `ansible/serve.yml`.
        inventory: the hosts.
        variables: extra variables, shown in previews and stored in plain text.
        secrets: extra variables, encrypted in the state and never shown.
        teardown: a playbook that undoes it, run with the same variables on `pulumi destroy`.
        removed_hosts: hosts with nothing left to undo; only these may leave the inventory.
        after: outputs of other resources; a change makes it run again.
        uses_package: whether it uses the model package; a change of it makes it run again.
        preview_check: whether previews check on the hosts what would change (`--check --diff`).

    """

    playbook: str
    inventory: Inventory
    variables: Mapping[str, pulumi.Input[Any]] = field(default_factory=dict)
    secrets: Mapping[str, pulumi.Input[Any]] = field(default_factory=dict)
    teardown: str | None = None
    removed_hosts: Sequence[str] = ()
    after: Sequence[pulumi.Input[Any]] = ()
    uses_package: bool = False
    preview_check: bool = False


class PlaybookProvider(Provider):
    """Runs a playbook to create, update, refresh (check mode) and, by its teardown, delete.

    It is stateless: everything comes in as properties. Its class is stored by name, not by value, so that
    later `refresh` and `destroy` runs use the current code.
    """

    def check(self, olds: Properties, news: Properties) -> CheckResult:
        """Replace the request for a check by its result: what would change on which host.

        Raises:
            PremisesError: the folder on the hosts moved, or a host left the inventory; its services would be
                left behind.

        """
        settle_in()
        removed = news.pop("removed_hosts", None) or []
        if olds and news.get("teardown"):
            _refuse_to_leave_behind(olds, news, removed)
        if news.pop("preview_check", False):
            asked = _as_another_owner(news)
            if _has_unknowns(asked):
                print("hosts not checked: some values are known only during the update", file=sys.stderr)
            elif would_change := self._run(asked, check=True).changed_tasks:
                news["would_change"] = would_change
        return CheckResult(news, [])

    def create(self, props: Properties) -> CreateResult:
        """Run the playbook; it is idempotent."""
        settle_in()
        report = self._run(props)
        return CreateResult(Path(str(props["playbook"])).stem, {**props, **self.outputs(report)})

    def update(self, _id: str, _olds: Properties, news: Properties) -> UpdateResult:
        """Run the playbook again with the new inputs."""
        settle_in()
        return UpdateResult({**news, **self.outputs(self._run(news))})

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Check the hosts, in check mode; differences become `drift`."""
        settle_in()
        drift = self._run(props, check=True).changed_tasks
        current = {key: value for key, value in props.items() if key != "drift"} | (
            {"drift": drift} if drift else {}
        )
        inputs = {key: value for key, value in current.items() if key not in self.output_names()}
        return ReadResult(id_, current, inputs)

    def delete(self, _id: str, props: Properties) -> None:
        """Run the teardown, if there is one."""
        settle_in()
        if not props.get("teardown"):
            return
        try:
            self._run({**props, "playbook": props["teardown"]})
        except PremisesError as error:
            message = (
                f"{error}; bring the host back and repeat, or, if it is gone for good, remove it from the "
                "state: pulumi state delete URN (pulumi stack --show-urns lists them)"
            )
            raise PremisesError(message) from None

    def outputs(self, report: Report) -> Properties:
        """Return the resource's outputs: changes by host, and the playbook's results."""
        return {"changes": report.changes, "results": report.results}

    def output_names(self) -> frozenset[str]:
        """Return the names of `outputs`, which are not inputs."""
        return frozenset({"changes", "results"})

    def variables(self, props: Properties) -> Properties:
        """Return Ansible's extra variables."""
        return dict(props.get("variables") or {})

    def _run(self, props: Properties, *, check: bool = False) -> Report:
        return run_playbook(
            PlaybookRun(
                root=Path.cwd(),
                playbook=props["playbook"],
                inventory=props["inventory"],
                variables=_as_written(self.variables(props)),
                secrets=props.get("secrets") or {},
                check=check,
            )
        )


class Playbook(Resource, module="premises", name="Playbook"):
    """A playbook that has run on its hosts.

    It does not store the playbook's console output: `changes` counts changed tasks by host, `results` is what
    the playbook returned with `set_stats`.
    """

    changes: pulumi.Output[dict[str, int]]
    results: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, args: PlaybookArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the playbook under `name`."""
        super().__init__(
            PlaybookProvider(), name, {**playbook_inputs(args), "changes": None, "results": None}, opts
        )


def playbook_inputs(args: PlaybookArgs, root: Path | None = None) -> Properties:
    """Return the properties every playbook resource has: its identity, and so its diff.

    Raises:
        PremisesError: the playbook, or a role it uses, does not exist.

    """
    root = root or Path.cwd()
    inputs: Properties = {
        "playbook": args.playbook,
        "sources": playbook_sources(root, args.playbook),
        "inventory": _below(root, args.inventory.path),
        "inventory_digest": args.inventory.digest,
        "variables": _with_nulls(args.variables),
    }
    if args.secrets:
        inputs["secrets"] = pulumi.Output.secret(dict(args.secrets))
    if args.teardown:
        inputs["teardown"] = args.teardown
        inputs["hosts"] = sorted(host.name for host in args.inventory.hosts)
        inputs["removed_hosts"] = sorted(args.removed_hosts)
    if args.after:
        inputs["after"] = list(args.after)
    if args.uses_package:
        inputs["package"] = package_digest(root)
    if args.preview_check and pulumi.runtime.is_dry_run():
        inputs["preview_check"] = True
    return inputs


def _below(root: Path, path: Path) -> str:
    """Return a path as stored in the state: relative if possible, so that another checkout is not a change."""
    absolute = (root / path).absolute()
    return str(
        absolute.relative_to(root.absolute()) if absolute.is_relative_to(root.absolute()) else absolute
    )


def _refuse_to_leave_behind(olds: Properties, news: Properties, removed_hosts: Sequence[str]) -> None:
    """Raise PremisesError if the teardown would no longer find what it has to undo."""
    if (old := _root(olds)) != (new := _root(news)):
        message = (
            f"premises:root was {old} and is now {new}: services in the old folder would be left running; "
            "change it back, or remove the stack first (make down)"
        )
        raise PremisesError(message)
    missing = set(olds.get("hosts") or []) - {*news["hosts"], *removed_hosts}
    if missing:
        names, inventory, teardown = ",".join(sorted(missing)), news["inventory"], Path(news["teardown"])
        root = f" -e scenario_root={new}" if _root_variable(news) else ""
        program = ansible_program("ansible-playbook")
        message = (
            f"{names} left {inventory}, and its services would be left running; put it back and clean it up: "
            f"ANSIBLE_CONFIG={teardown.parent}/ansible.cfg {program} -i {inventory} {teardown} "
            f"--limit {names}{root}; then, or if it is gone, remove it and set premises:removedHosts: [{names}]"
        )
        raise PremisesError(message)


def _root(props: Properties) -> str:
    return _root_variable(props) or "the hosts' default"


def _root_variable(props: Properties) -> str:
    return str((props.get("variables") or {}).get("scenario_root") or "")


def _as_another_owner(news: Properties) -> Properties:
    """Let a stack that is not up yet check hosts in a preview: hosts owned by any stack are another's."""
    variables = dict(news.get("variables") or {})
    if variables.get("scenario_owner") == rpc.UNKNOWN:
        variables["scenario_owner"] = "a stack that is not up yet"
    return {**news, "variables": variables}


def _has_unknowns(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_unknowns(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_unknowns(item) for item in value)
    return bool(value == rpc.UNKNOWN)


def _with_nulls(value: Any) -> Any:
    """Write nulls as text: Pulumi drops those of mappings, and a default would take the place of what was set."""
    if isinstance(value, Mapping):
        return {key: _with_nulls(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_nulls(item) for item in value]
    return _NULL if value is None else value


def _as_written(value: Any) -> Any:
    """Undo what Pulumi's state does to values: whole floats are integers again, nulls are nulls, and keys are sorted.

    Pulumi passes every number as a float, and mappings from its state in a different order: roles that digest
    their variables would see a change.
    """
    if isinstance(value, dict):
        return {key: _as_written(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [_as_written(item) for item in value]
    if value == _NULL:
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value
