"""Ansible as a resource: sources, variables and inventory are its identity, and its hosts can drift."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import CheckResult, CreateResult, ReadResult, Resource, UpdateResult
from pulumi.runtime import rpc

from components.ansible.runner import PlaybookRun, run_playbook
from components.ansible.sources import package_digest, playbook_sources
from components.dynamic import Provider, settle_in
from components.errors import PremisesError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.ansible.events import Report
    from components.ansible.inventory import Inventory

    Properties = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PlaybookArgs:
    """What a playbook is run with.

    Attributes:
        playbook: its path below the project's root, as in `ansible/serve.yml`.
        inventory: the hosts.
        variables: extra variables, shown in previews and stored in plain text.
        secrets: extra variables that are encrypted in the state and shown nowhere.
        teardown: a playbook that undoes it, run with the same variables on `pulumi destroy`.
        removed_hosts: hosts on which nothing is left to undo; only these may leave the inventory.
        after: outputs of others whose change makes it run again.
        uses_package: whether it uses the model package, so that a change of that makes it run again.
        preview_check: let previews ask the hosts what would change (`--check --diff`).

    """

    playbook: str
    inventory: Inventory
    variables: Mapping[str, pulumi.Input[Any]] = field(default_factory=dict)
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    teardown: str | None = None
    removed_hosts: Sequence[str] = ()
    after: Sequence[pulumi.Input[Any]] = ()
    uses_package: bool = False
    preview_check: bool = False


class PlaybookProvider(Provider):
    """Runs a playbook to create, update, refresh (check mode) and, by its teardown, delete.

    It holds no state: everything comes in as properties. Its class is stored by name, not by value, so that
    the code at hand is what runs on every later `refresh` and `destroy`.
    """

    def check(self, olds: Properties, news: Properties) -> CheckResult:
        """Replace the wish for a check by its result: what would change on which host.

        Raises:
            PremisesError: the folder on the hosts moved, or a host left the inventory; what runs there
                would be left behind.

        """
        settle_in()
        removed = news.pop("removed_hosts", None) or []
        if olds and news.get("teardown"):
            _refuse_to_leave_behind(olds, news, removed)
        if news.pop("preview_check", False):
            asked = _as_another_owner(news)
            if _has_unknowns(asked):
                print("not asked the hosts: some values are known only during the update", file=sys.stderr)
            elif would_change := self._run(asked, check=True).changed_tasks:
                news["would_change"] = would_change
        return CheckResult(news, [])

    def create(self, props: Properties) -> CreateResult:
        """Run the playbook; harmless to repeat, as the playbook converges."""
        settle_in()
        report = self._run(props)
        return CreateResult(Path(str(props["playbook"])).stem, {**props, **self.outputs(report)})

    def update(self, _id: str, _olds: Properties, news: Properties) -> UpdateResult:
        """Run the playbook again with what is new."""
        settle_in()
        return UpdateResult({**news, **self.outputs(self._run(news))})

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Ask the hosts, in check mode, whether they still are as described; what is not becomes `drift`."""
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
                f"{error}; bring the host back and repeat, or, if it is gone for good, forget what is on "
                "it: pulumi state delete URN (pulumi stack --show-urns lists them)"
            )
            raise PremisesError(message) from None

    def outputs(self, report: Report) -> Properties:
        """Return what the resource hands on: changes by host, and what the playbook returned."""
        return {"changes": report.changes, "results": report.results}

    def output_names(self) -> frozenset[str]:
        """Return the names of `outputs`: these are not inputs."""
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

    It does not keep what a playbook printed: `changes` counts changed tasks by host, `results` is what the
    playbook returned with `set_stats`.
    """

    changes: pulumi.Output[dict[str, int]]
    results: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, args: PlaybookArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the playbook under `name`."""
        super().__init__(
            PlaybookProvider(), name, {**playbook_inputs(args), "changes": None, "results": None}, opts
        )


def playbook_inputs(args: PlaybookArgs, root: Path | None = None) -> Properties:
    """Return the properties every playbook resource has: together they are its identity, and so its diff.

    Raises:
        PremisesError: the playbook, or a role it uses, is not there.

    """
    root = root or Path.cwd()
    inputs: Properties = {
        "playbook": args.playbook,
        "sources": playbook_sources(root, args.playbook),
        "inventory": _below(root, args.inventory.path),
        "inventory_digest": args.inventory.digest,
        "variables": dict(args.variables),
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
    """Return a path as the state keeps it: relative where it can be: another checkout is no change."""
    absolute = (root / path).absolute()
    return str(
        absolute.relative_to(root.absolute()) if absolute.is_relative_to(root.absolute()) else absolute
    )


def _refuse_to_leave_behind(olds: Properties, news: Properties, removed_hosts: Sequence[str]) -> None:
    """Raise PremisesError where what a teardown would undo is no longer where the teardown will look."""
    if (old := _root(olds)) != (new := _root(news)):
        message = (
            f"premises:root was {old} and is now {new}: what is in the old folder would stay behind, "
            "running; put it back, or remove the stack first (make down)"
        )
        raise PremisesError(message)
    missing = set(olds.get("hosts") or []) - {*news["hosts"], *removed_hosts}
    if missing:
        names, inventory, teardown = ",".join(sorted(missing)), news["inventory"], Path(news["teardown"])
        root = f" -e scenario_root={new}" if _root_variable(news) else ""
        message = (
            f"{names} left {inventory}, and what runs there would stay behind; put it back and remove it: "
            f"ANSIBLE_CONFIG={teardown.parent}/ansible.cfg ansible-playbook -i {inventory} {teardown} "
            f"--limit {names}{root}; then, or if it is no more, take it out and set premises:removedHosts: [{names}]"
        )
        raise PremisesError(message)


def _root(props: Properties) -> str:
    return _root_variable(props) or "the hosts' default"


def _root_variable(props: Properties) -> str:
    return str((props.get("variables") or {}).get("scenario_root") or "")


def _as_another_owner(news: Properties) -> Properties:
    """Let a stack that is not up yet ask hosts in a preview: what belongs to any stack is another's."""
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


def _as_written(value: Any) -> Any:
    """Turn whole floats back into integers, and put keys in order.

    Pulumi carries every number as a float, and hands mappings over in another order when they come from its
    state: roles that take digests of what they are told would see a change.
    """
    if isinstance(value, dict):
        return {key: _as_written(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [_as_written(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
