"""`python -m images build STACK`: build the training image, and push it to the account's own registry; with EFA's
libraries if the stack's nodes use it.
`python -m images mirror STACK`: copy the images of others there, as `cloud:registry` says.

What is there already is left as it is: a tag of the stack's registry never moves.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from bootstrap import ToolError
from bootstrap.console import run, say
from components.aws.instance_types import instance_type
from components.aws.pushed_image import is_in
from components.errors import CloudError
from components.kubernetes.charts import mirrored
from images import ImagesError
from images.registry import Registry
from images.tools import found
from stacks.builders.eks import location
from stacks.builders.eks_platform import images_of_others
from stacks.builders.training_nodes import choose
from stacks.s2_cloud_training import Settings
from stacks.settings.aws import AwsCloud
from stacks.settings.read import SettingsError, read_settings
from stacks.stack_file import configuration_of_file

_ROOT = Path(__file__).resolve().parents[1]
_FILE = Path("model", "Containerfile")
_EFA_FILE = Path("images", "efa.Containerfile")
_EFA_BASE = "localhost/scenario-model-efa"


def build(stack: str, settings: Settings, cloud: AwsCloud, *, base: str, sources: str, efa: bool) -> None:
    """Build and push the training image, with EFA's libraries below it if asked to. Raises ToolError."""
    here, image = location(stack, cloud, settings.aws), settings.training.image
    if not is_in(here, image):
        raise ImagesError(
            f"training.image is {image}, which is not in the account's own registry {here.registry}",
            remedy=f"name it {here.registry}/{stack}/scenario-model:TAG, or push it with a tool of your own",
        )
    own = f"{here.registry}/{stack}/scenario-model"
    if not re.fullmatch(rf"{re.escape(own)}:[\w.-]+", image):
        raise ImagesError(
            f"training.image is {image}", remedy=f"name it {own}:TAG: that is what the stack makes room for"
        )
    registry = Registry(location=here)
    if registry.has(image):
        other = "one with EFA, if it has none" if efa else "another one"
        say(f"{image} is there already; for {other}, raise the tag in training.image")
        return
    with found() as tool:
        tool.login(registry.host, *registry.token())  # before: the base may be in it, too
        if efa:
            say(f"for EFA, building {_EFA_BASE} with libfabric and aws-ofi-nccl first (minutes)")
            told = {"BASE": base, "EFA_SOURCES": sources}
            tool.build(_ROOT, _ROOT / _EFA_FILE, _EFA_BASE, {name: told[name] for name in told if told[name]})
            base = _EFA_BASE
        say(f"building {image} with{'' if efa else 'out'} EFA (5 GB, minutes)")
        tool.build(_ROOT, _ROOT / _FILE, image, {"BASE": base} if base else {})
        say(f"pushing {image}")
        tool.push(image)
    say(f"{image} is in the registry; go on: make up STACK={stack}")


def mirror(stack: str, settings: Settings, cloud: AwsCloud) -> None:
    """Copy the images of others into the mirror, if it is the account's own registry. Raises ToolError."""
    here = location(stack, cloud, settings.aws)
    registry = Registry(location=here)
    if (cloud.registry or "").partition("/")[0] != here.registry:
        raise ImagesError(
            f"cloud:registry is {cloud.registry or 'not set'}",
            remedy=f"set it to {here.registry}/{stack} to have the images there, or fill your mirror by its own means",
        )
    images = images_of_others(cloud, instance_type(cloud.nodes.instance_type))
    missing = [each for each in images if not registry.has(mirrored(each, str(cloud.registry)))]
    with found() as tool:
        if missing:
            tool.login(registry.host, *registry.token())
        for each in missing:
            say(f"copying {each} for {images[each]}")
            tool.copy(each, mirrored(each, str(cloud.registry)), images[each])
    say(f"{len(images)} images are in {cloud.registry}, {len(missing)} of them new")


def main() -> None:
    """Read the stack's file, and do what was asked."""
    parser = argparse.ArgumentParser(
        prog="python -m images", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["build", "mirror"])
    parser.add_argument("stack")
    parser.add_argument(
        "--base", default="", help="another base image, where Docker's registry is out of reach"
    )
    parser.add_argument(
        "--efa-sources", default="", help="where EFA's repositories are, instead of https://github.com"
    )
    parser.add_argument(
        "--efa",
        choices=["yes", "no"],
        help="with EFA's libraries or not; default: if the stack's nodes use it",
    )
    asked = parser.parse_args()
    try:
        settings = read_settings(Settings, asked.stack, configuration_of_file(asked.stack))
        if not isinstance(settings.cloud, AwsCloud):
            raise ImagesError(
                f"the cloud of {asked.stack} is a cluster of yours", remedy="push to its registry"
            )
        if asked.what == "build":
            used = bool(choose(settings.cloud, settings.training).instance.efa_interfaces)
            efa = asked.efa == "yes" if asked.efa else used
            build(asked.stack, settings, settings.cloud, base=asked.base, sources=asked.efa_sources, efa=efa)
        else:
            mirror(asked.stack, settings, settings.cloud)
    except (ToolError, SettingsError, CloudError) as error:
        sys.exit(f"images: {error}")


if __name__ == "__main__":
    run(main)
