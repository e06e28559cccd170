"""`s3-local`: train and serve on the premises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from components.ansible.inventory import read_inventory
from components.ansible.playbook import Playbook
from components.errors import PremisesError
from components.premises.training_run import TrainingRun, TrainingRunArgs
from scenario_model.data.settings import Data, PythonReference
from scenario_model.evaluate.settings import GateSettings
from scenario_model.foundation.settings import Foundation, PackagedFoundation
from scenario_model.lifecycle.settings import Lifecycle
from scenario_model.serve.settings import Serving
from scenario_model.train.settings import Recipe
from stacks.builders.hosts import admit_hosts, prepare_hosts
from stacks.builders.premises import check_first, deployment, provide_runtime, serve, serving_variables
from stacks.settings.base import StackSettings
from stacks.settings.premises import Balancer, Premises
from stacks.settings.release import Release

if TYPE_CHECKING:
    from components.ansible.inventory import Inventory
    from stacks.builders.premises import Deployment


class Settings(StackSettings):
    """Settings of a stack of this scenario."""

    foundation: Foundation = PackagedFoundation()
    data: Data = PythonReference()
    recipe: Recipe = Recipe()
    gate: GateSettings = GateSettings()
    serving: Serving = Serving()
    release: Release = Release()
    lifecycle: Lifecycle | None = None
    """Let the host that trains and serves retrain when its traffic drifts; null: only an update retrains."""
    balancer: Balancer = Balancer()
    premises: Premises = Premises()


def build(stack: str, settings: Settings) -> dict[str, Any]:
    """Declare the stack and return its outputs.

    Raises:
        PremisesError: the inventory, the bundle, a lock or a playbook cannot be used.

    """
    inventory = read_inventory(Path(settings.premises.inventory), groups=("training", "inference"))
    names: dict[str, pulumi.Input[Any]] = {
        "release_name": settings.release.name,
        "release_channel": settings.release.channel,
    }
    if settings.lifecycle:
        names["lifecycle_enabled"] = True
    on = deployment(stack, settings.premises, inventory, names)
    asked = {
        "foundation": settings.foundation.as_given(),
        "data": settings.data.as_given(),
        "recipe": settings.recipe.as_given(),
        "gate": settings.gate.as_given(),
    }
    variables = {name: value for name, value in asked.items() if name != "data"}
    variables |= {"training_data": asked["data"], **serving_variables(stack, settings.serving)}
    preflight = check_first(on, settings.premises, "preflight", variables)
    hosts = prepare_hosts(on, settings.premises, settings.serving, settings.balancer, preflight=preflight)
    ready, admission = admit_hosts(
        on, settings.premises, runtime=provide_runtime(on, settings.serving, after=hosts)
    )
    training = TrainingRun(
        "training",
        TrainingRunArgs(
            playbook=on.playbook("train", uses_package=True, preview_check=on.preview_check), **asked
        ),
        pulumi.ResourceOptions(depends_on=[ready]),
    )
    outputs = serve(
        on,
        settings.serving,
        settings.balancer,
        release=training.release,
        depends_on=[ready, training],
        more=lifecycle_of(stack, settings, inventory),
    )
    outputs |= {"evaluation": training.evaluation, **admission}
    if settings.release.export:
        outputs |= _exported(on, settings.release.export, training)
    elif inventory.in_group("training")[0].local:
        outputs |= {
            "release_path": training.directory,
            "verification_key": training.verification_key.apply(_text),
        }
    return outputs


def lifecycle_of(stack: str, settings: Settings, inventory: Inventory) -> dict[str, Any]:
    """Return the lifecycle's variables.

    Raises:
        PremisesError: there is no one host that could lead it.

    """
    if settings.lifecycle is None:
        return {}
    if (
        inventory.in_group("training") != inventory.in_group("inference")
        or len(inventory.in_group("training")) > 1
    ):
        message = (
            f"{stack}: key 'lifecycle': one host leads it, which trains and serves, and the inventory has others, too; "
            "leave the key out, or put one and the same host into both groups"
        )
        raise PremisesError(message)
    lifecycle, gate = settings.lifecycle.as_given(), settings.gate.as_given()
    return {"lifecycle": lifecycle, "gate": gate}


def _text(path: str) -> str | None:
    """Return the key's text; None if it was removed, along with the release."""
    return Path(path).read_text(encoding="utf-8") if Path(path).is_file() else None


def _exported(on: Deployment, folder: str, training: TrainingRun) -> dict[str, Any]:
    """Declare the release's archive on this machine; return its path and the key that verifies it."""
    arguments = on.playbook(
        "export", variables={"release_export": str(Path(folder).absolute())}, after=[training.release]
    )
    export = Playbook("export", arguments, pulumi.ResourceOptions(depends_on=[training]))
    result = export.results["export_result"]
    return {"release_path": result["path"], "verification_key": result["key"]}
