"""`s3-local`: train and serve on the premises."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from components.credentials import ApiKey, CertificateAuthority, ServerCertificate
from components.premises.errors import PremisesError
from components.premises.hosts import read_inventory
from components.premises.playbook import Playbook, PlaybookArgs
from components.premises.training_run import TrainingRun, TrainingRunArgs
from stacks.placement import placement_of

if TYPE_CHECKING:
    from components.premises.hosts import Inventory
    from stacks.settings import Settings

STACK = "s3-local"


def build(settings: Settings) -> dict[str, Any]:
    """Declare the stack and return its outputs.

    Raises:
        PremisesError: the inventory or a playbook cannot be used.

    """
    inventory = read_inventory(Path(settings.premises.inventory), groups=("training", "inference"))
    common: dict[str, Any] = (
        {"scenario_root": root_folder(settings, inventory)} if settings.premises.root else {}
    )
    common |= {"release_name": settings.release.name, "release_channel": settings.release.channel}
    serving = settings.serving.model_dump(exclude_none=True)
    check = settings.premises.preview_check
    preflight = Playbook(
        "preflight",
        PlaybookArgs(
            playbook="ansible/preflight.yml",
            inventory=inventory,
            variables={
                **common,
                "foundation": settings.foundation.as_variables(),
                "training_data": settings.data.as_variables(),
                "recipe": settings.recipe.as_variables(),
                "gate": settings.gate.as_variables(),
                "serving": serving,
            },
        ),
    )
    runtime = Playbook(
        "runtime",
        PlaybookArgs(
            playbook="ansible/runtime.yml",
            teardown="ansible/reset.yml",
            inventory=inventory,
            variables=common,
            uses_package=True,
            preview_check=check,
        ),
        pulumi.ResourceOptions(depends_on=[preflight]),
    )
    training = TrainingRun(
        "training",
        TrainingRunArgs(
            playbook=PlaybookArgs(
                playbook="ansible/train.yml",
                inventory=inventory,
                variables=common,
                uses_package=True,
                preview_check=check,
            ),
            foundation=settings.foundation.as_variables(),
            data=settings.data.as_variables(),
            recipe=settings.recipe.as_variables(),
            gate=settings.gate.as_variables(),
        ),
        pulumi.ResourceOptions(depends_on=[runtime]),
    )
    names = server_names(settings, inventory)
    authority = CertificateAuthority("authority", common_name=f"{STACK} certificate authority")
    certificate = ServerCertificate("server", authority=authority, names=names)
    api_key = ApiKey("client")
    Playbook(
        "serving",
        PlaybookArgs(
            playbook="ansible/serve.yml",
            inventory=inventory,
            variables={
                **common,
                "serving": serving,
                "tls_certificate": certificate.certificate,
                "api_key_sha256": api_key.sha256,
            },
            secrets={"tls_private_key": certificate.private_key},
            after=[training.release],
            uses_package=True,
            preview_check=check,
        ),
        pulumi.ResourceOptions(depends_on=[runtime, training]),
    )
    return {
        "scenario": STACK,
        "placement": placement_of(STACK).as_output(),
        "endpoint": f"https://{names[0]}:{settings.serving.port}/v1",
        "api_key": pulumi.Output.secret(api_key.key),
        "ca_certificate": authority.certificate,
        "release": training.release,
        "evaluation": training.evaluation,
        "hosts": [
            {"name": host.name, "address": host.address, "groups": list(host.groups)}
            for host in inventory.hosts
        ],
    }


def root_folder(settings: Settings, inventory: Inventory) -> str:
    """Return where hosts keep everything; a relative path is below this project, so for local hosts only."""
    root = settings.premises.root or ""
    if root.startswith(("/", "~")):
        return root
    if remote := [host.name for host in inventory.hosts if not host.local]:
        message = (
            f"stacks/Pulumi.{STACK}.yaml: premises:root: {root!r} is relative to this project, which is not "
            f"on {', '.join(remote)}; give an absolute path, or leave it out"
        )
        raise PremisesError(message)
    return str(Path(root).absolute())


def server_names(settings: Settings, inventory: Inventory) -> list[str]:
    """Return the names and addresses that clients may use, the endpoint's first."""
    own = [name for host in inventory.in_group("inference") for name in (host.address, host.name)]
    local = (
        ["localhost", "127.0.0.1", "::1"]
        if any(host.local for host in inventory.in_group("inference"))
        else []
    )
    listening = [] if _is_wildcard(settings.serving.host) else [settings.serving.host]
    return list(dict.fromkeys([*settings.serving.names, *local, *own, *listening]))


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
