"""Twelve changes of shipped stacks that reviewers meet, and what they have to read of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

OWN = "model-deployment-scenarios"
BUCKET = "components/aws/release_bucket.py"
_MADE = "        bucket = s3.Bucket(name, force_destroy=not args.protect, opts=self._kept)\n"
_WITH_ALIAS = (
    "pulumi.ResourceOptions.merge(self._kept, pulumi.ResourceOptions(aliases=[pulumi.Alias(name=name)]))"
)
RELEASE = f"assistant@sha256:{'1' * 64}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A change of a stack.

    Attributes:
        stack: a shipped one.
        change: of its settings.
        before: of its last state.
        program: a file, what is in it, and what comes in its place.
        to_read: what a comment has to say; nothing, if nothing happens.

    """

    stack: str
    change: Callable[[dict[str, Any]], None] | None = None
    before: Callable[[dict[str, Any]], None] | None = None
    program: tuple[str, str, str] | None = None
    to_read: tuple[str, ...] = ()


def settings(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Set what a stack's file says; `__` stands for the colon."""
    return lambda config: config.update({key.replace("__", ":"): value for key, value in changes.items()})


def another_recipe(config: dict[str, Any]) -> None:
    """Train for longer."""
    config[f"{OWN}:recipe"]["max_steps"] = 50


def another_release(config: dict[str, Any]) -> None:
    """Serve another release."""
    url, key = "https://releases.example.com/one.tar.gz", "verification.pem"
    config[f"{OWN}:release"] = {"kind": "url", "url": url, "id": RELEASE, "verification_key": key}


def hosts(folder: Path, found: Mapping[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Have these hosts for inference."""
    inventory = folder / "hosts.yml"
    inventory.write_text(json.dumps({"premises": {"children": {"inference": {"hosts": found}}}}))
    return settings(premises__inventory=str(inventory))


def egress(*cidrs: str) -> Callable[[dict[str, Any]], None]:
    """Let the cloud's pods reach these networks."""
    return settings(cloud__destinations=[{"name": "bucket", "cidrs": list(cidrs)}])


def looser_bucket(state: dict[str, Any]) -> None:
    """The bucket's policy denied something more."""
    (bucket,) = [each for each in state["resources"] if each["type"] == "aws:s3/bucketPolicy:BucketPolicy"]
    policy = json.loads(bucket["inputs"]["policy"])
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObjectVersion", "Resource": "*"}
    policy["Statement"].append(denied)
    bucket["inputs"]["policy"] = bucket["outputs"]["policy"] = json.dumps(policy)


def tainted_authority(state: dict[str, Any]) -> None:
    """As `pulumi state taint` leaves the certificate authority."""
    for each in state["resources"]:
        each["taint"] = each["type"].endswith(":CertificateAuthority")


def moved_ring(config: dict[str, Any]) -> None:
    """The only site is in another ring."""
    config[f"{OWN}:sites"] = {"rings": {"first": ["localhost"]}}


def renamed(*, alias: bool) -> tuple[str, str, str]:
    """The bucket has another name in the program, with its former one as an alias or without."""
    code = _MADE.replace("Bucket(name", 'Bucket(f"{name}-files"')
    return (BUCKET, _MADE, code.replace("opts=self._kept", f"opts={_WITH_ALIAS}") if alias else code)


def written_differently() -> tuple[str, str, str]:
    """The program says the same in other words."""
    return (BUCKET, _MADE, f"{_MADE.replace('bucket =', 'made =')}        bucket = made\n")


def twelve(folder: Path) -> dict[str, Case]:
    """Return the cases by name. `folder`: for files that they need."""
    nodes = settings(cloud__nodes={"instance_type": "g6.4xlarge", "maximum": 2})
    more = {"localhost": {"ansible_connection": "local"}, "b": {"ansible_host": "10.0.0.2"}}
    s1, s2, s3, s4 = "s1-local-serving", "s2-cloud-training", "s3-local", "s4-cloud-serving"
    return {
        "instance type": Case(stack=s2, change=nodes, to_read=("g6.4xlarge", "training")),
        "subnet CIDR": Case(stack=s2, change=settings(cloud__cidr="10.81.0.0/16"), to_read=("10.81.0.0/16",)),
        "recipe": Case(stack=s3, change=another_recipe, to_read=("max_steps", "50")),
        "release": Case(stack=s1, change=another_release, to_read=("serving",)),
        "new host": Case(stack=s4, change=hosts(folder, more), to_read=("site-b",)),
        "egress widened": Case(stack=s4, change=egress("10.0.0.0/8"), to_read=("10.0.0.0/8",)),
        "bucket policy loosened": Case(stack=s2, before=looser_bucket, to_read=("s3:DeleteObjectVersion",)),
        "S1 given a cloud": Case(
            stack=s1, change=settings(aws__region="eu-central-1"), to_read=("keeps its data on the premises",)
        ),
        "a ring moved": Case(stack=s4, change=moved_ring, to_read=("first", "site-localhost")),
        "a key rotated": Case(stack=s3, before=tainted_authority, to_read=("CertificateAuthority",)),
        "no-op refactor": Case(stack=s2, program=written_differently()),
        "renamed with its alias": Case(stack=s2, program=renamed(alias=True)),
    }
