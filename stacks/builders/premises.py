"""Shared by scenarios on the premises: variables of the hosts, certificates and keys, the endpoint."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.runtime.rpc import UNKNOWN

from components.ansible.playbook import Playbook, PlaybookArgs
from components.credentials import ApiKey, CertificateAuthority, ServerCertificate, StackId
from components.errors import PremisesError
from scenario_model.serve.vllm.settings import VllmSettings
from stacks.builders.local_files import are_elsewhere, read_local

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.ansible.inventory import Inventory
    from scenario_model.serve.settings import Serving
    from stacks.settings.premises import Balancer, Premises

_SUMS = "SHA256SUMS"
# The settings that determine how vLLM is installed.
_VLLM_ENVIRONMENT = {"kind", "device", "requirements"}
_VLLM_LOCK = "requirements/vllm.lock"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Where a stack's playbooks run, and the variables common to all of them."""

    stack: str
    inventory: Inventory
    variables: Mapping[str, pulumi.Input[Any]]
    preview_check: bool
    bundle: Mapping[str, str] = field(default_factory=dict)
    removed_hosts: tuple[str, ...] = ()

    def playbook(self, name: str, **arguments: Any) -> PlaybookArgs:
        """Return the arguments of `ansible/<name>.yml` on these hosts; `variables` override the common ones."""
        variables = {**self.variables, **self.bundle, **arguments.pop("variables", {})}
        return PlaybookArgs(
            playbook=f"ansible/{name}.yml", inventory=self.inventory, variables=variables, **arguments
        )


def deployment(
    stack: str, premises: Premises, inventory: Inventory, variables: Mapping[str, pulumi.Input[Any]]
) -> Deployment:
    """Return the variables common to all playbooks of a stack.

    Raises:
        PremisesError: the folder on the hosts or the bundle cannot be used.

    """
    owner = StackId("stack").identity.apply(lambda identity: f"{stack}@{identity}")
    common: dict[str, pulumi.Input[Any]] = {**variables, "scenario_owner": owner}
    if premises.adopt:
        common["scenario_adopt"] = True
    if premises.root:
        common["scenario_root"] = root_folder(stack, premises.root, inventory)
    return Deployment(
        stack=stack,
        inventory=inventory,
        variables=common,
        preview_check=premises.preview_check,
        bundle=_bundle(stack, premises) if premises.bundle else {},
        removed_hosts=premises.removed_hosts,
    )


def check_first(
    on: Deployment, premises: Premises, playbook: str, variables: Mapping[str, pulumi.Input[Any]]
) -> Playbook:
    """Declare the checks that come before everything; their removal removes everything from the hosts.

    They change nothing, so whatever fails later, even in the first update, the state knows how to undo it.
    """
    managed = {"manage_hosts": True} if premises.manage_hosts else {}
    arguments = on.playbook(
        playbook,
        variables={**variables, **managed},
        teardown="ansible/reset.yml",
        removed_hosts=on.removed_hosts,
    )
    return Playbook("preflight", arguments)


def provide_runtime(on: Deployment, serving: Serving, *, after: Playbook) -> Playbook:
    """Declare the model package, and vLLM if it serves."""
    variables: dict[str, Any] = {}
    if isinstance(serving.engine, VllmSettings):
        # Other serving settings do not change the environment, and must not show as a change of it.
        variables = serving_variables(on.stack, serving)
        given = variables["serving"]["engine"].items()
        engine = {name: value for name, value in given if name in _VLLM_ENVIRONMENT}
        variables["serving"] = {"engine": engine}
    arguments = on.playbook(
        "runtime",
        variables=variables,
        uses_package=True,
        preview_check=on.preview_check,
    )
    return Playbook("runtime", arguments, pulumi.ResourceOptions(depends_on=[after]))


def serve(
    on: Deployment,
    serving: Serving,
    balancer: Balancer,
    *,
    release: pulumi.Input[str],
    depends_on: Sequence[pulumi.Resource],
    more: Mapping[str, pulumi.Input[Any]] | None = None,
) -> dict[str, Any]:
    """Declare the servers, with their own certificates and key; return the stack's outputs. `more`: their variables.

    Raises:
        PremisesError: nobody could reach the servers.

    """
    _refuse_addresses_for_names(on.stack, on.inventory)
    balanced = bool(on.inventory.in_group("balancer"))
    names = server_names(serving, balancer, on.inventory)
    authority = CertificateAuthority("authority", common_name=f"{on.stack} certificate authority")
    access = server_access(on, serving, names, authority)
    variables: dict[str, pulumi.Input[Any]] = {**access.variables, **(more or {})}
    if balanced:
        variables |= {"balancer": balancer.as_given(), "tls_authority": authority.certificate}
    arguments = on.playbook(
        "serve",
        variables=variables,
        secrets=access.secrets,
        after=[release],
        uses_package=True,
        preview_check=on.preview_check,
    )
    Playbook("serving", arguments, pulumi.ResourceOptions(depends_on=list(depends_on)))
    return {
        "endpoint": endpoint(names, balancer.port if balanced else serving.port),
        "api_key": access.api_key,
        "ca_certificate": authority.certificate,
        "release": release,
        "hosts": described_hosts(on.inventory),
    }


@dataclass(frozen=True, kw_only=True)
class ServerAccess:
    """What servers need to be reached: variables and secrets of their playbook; and the client's key, a secret."""

    variables: Mapping[str, pulumi.Input[Any]]
    secrets: Mapping[str, pulumi.Input[Any]]
    api_key: pulumi.Output[str]


def server_access(
    on: Deployment, serving: Serving, names: Sequence[str], authority: CertificateAuthority
) -> ServerAccess:
    """Declare the servers' certificate for `names`, and their client's key.

    Raises:
        PremisesError: nobody could reach the servers.

    """
    _refuse_unreachable(on.stack, serving, on.inventory)
    certificate = ServerCertificate("server", authority=authority, names=names)
    api_key = ApiKey("client")
    return ServerAccess(
        variables={
            **serving_variables(on.stack, serving),
            "tls_certificate": certificate.certificate,
            "api_key_sha256": api_key.sha256,
        },
        secrets={"tls_private_key": certificate.private_key},
        api_key=pulumi.Output.secret(api_key.key),
    )


def described_hosts(inventory: Inventory) -> list[dict[str, Any]]:
    """Return the stack's output `hosts`."""
    return [
        {"name": host.name, "address": host.address, "groups": list(host.groups)} for host in inventory.hosts
    ]


def serving_variables(stack: str, serving: Serving) -> dict[str, Any]:
    """Return the serving variables for playbooks; vLLM's lock is part of their identity.

    Raises:
        StackError: the lock named by a setting cannot be read.

    """
    variables: dict[str, Any] = {"serving": serving.as_given()}
    if isinstance(serving.engine, VllmSettings):
        lock = Path(serving.engine.requirements or _VLLM_LOCK)
        text = read_local(stack, "serving.engine.requirements", str(lock))
        if serving.engine.requirements:
            variables["serving"]["engine"]["requirements"] = str(lock.absolute())
        variables["vllm_requirements_digest"] = hashlib.sha256(text.encode()).hexdigest()
    return variables


def _refuse_unreachable(stack: str, serving: Serving, inventory: Inventory) -> None:
    remote = [host.name for host in inventory.in_group("inference") if not host.local]
    if remote and _is_loopback(serving.as_given().get("host", "")):
        named = ", ".join(remote)
        message = (
            f"stacks/Pulumi.{stack}.yaml: serving: host: {serving.host} is reached from that host alone, and "
            f"clients of {named} are elsewhere; remove it, or set an address of that host"
        )
        raise PremisesError(message)


def _refuse_addresses_for_names(stack: str, inventory: Inventory) -> None:
    named = [host.name for host in inventory.in_group("inference") if ip_address(host.name)]
    if named and inventory.in_group("balancer"):
        message = (
            f"stacks/Pulumi.{stack}.yaml: premises:inventory: behind a balancer, {', '.join(named)} needs a name, "
            "because the balancer compares it with the server's certificate; write, for example, serve-1 with "
            f"ansible_host: {named[0]}"
        )
        raise PremisesError(message)


def root_folder(stack: str, root: str, inventory: Inventory) -> str:
    """Return the root folder on hosts; a relative path is below this project, so for local hosts only.

    Raises:
        PremisesError: it is relative, and a host is not this machine.

    """
    if root.startswith(("/", "~")):
        return root
    if remote := [host.name for host in inventory.hosts if not host.local]:
        message = (
            f"stacks/Pulumi.{stack}.yaml: premises:root: {root!r} is relative to this project, which is not "
            f"on {', '.join(remote)}; give an absolute path, or remove it"
        )
        raise PremisesError(message)
    return str(Path(root).absolute())


def server_names(serving: Serving, balancer: Balancer, inventory: Inventory) -> list[str]:
    """Return the names and addresses that clients may use, the most usual first."""
    balancers = inventory.in_group("balancer")
    serving_hosts = [*balancers, *inventory.in_group("inference")]
    own = [name for host in serving_hosts for name in (host.address, host.name)]
    local = ["localhost", "127.0.0.1", "::1"] if any(host.local for host in serving_hosts) else []
    called = balancer.host if balancers else serving.host
    # What listens on one address alone is reached there, not by the host's other names.
    only = [] if _is_wildcard(called) or _is_loopback(called) else [called]
    listening = [] if _is_wildcard(serving.host) else [serving.host]
    return list(dict.fromkeys([*serving.names, *only, *local, *own, *listening]))


def endpoint(names: Sequence[str], port: int) -> str:
    """Return the URL of the API under the first of `names` that is one; `*.example.com` stands for many."""
    name = next(each for each in names if "*" not in each)
    return f"https://[{name}]:{port}/v1" if ":" in name else f"https://{name}:{port}/v1"


def _bundle(stack: str, premises: Premises) -> dict[str, str]:
    folder = Path(str(premises.bundle)).absolute()
    if not premises.bundle_key:
        message = (
            f"stacks/Pulumi.{stack}.yaml: premises:bundle is set but premises:bundleKey is not; set it to the "
            "public key that make bundle printed"
        )
        raise PremisesError(message)
    there = (folder / _SUMS).is_file()
    if not (there or are_elsewhere()):
        message = f"stacks/Pulumi.{stack}.yaml: premises:bundle: no bundle in {folder}; run make bundle"
        raise PremisesError(message)
    return {
        "bundle": str(folder),
        "bundle_key": str(Path(premises.bundle_key).absolute()),
        # Part of the resource's identity: a new bundle under the same name shows in a preview.
        "bundle_digest": hashlib.sha256((folder / _SUMS).read_bytes()).hexdigest() if there else UNKNOWN,
    }


def ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a text is; None if it is a name."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_wildcard(host: str) -> bool:
    address = ip_address(host)
    return address is not None and address.is_unspecified


def _is_loopback(host: str) -> bool:
    address = ip_address(host)
    return host == "localhost" if address is None else address.is_loopback
