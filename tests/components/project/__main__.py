"""A tiny stack of the real components, shaped by the JSON in SHAPE; each of its playbooks takes a second."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pulumi

from components.ansible.inventory import read_inventory
from components.ansible.playbook import Playbook, PlaybookArgs
from components.credentials import ApiKey, CertificateAuthority, ServerCertificate
from components.premises.training_run import TrainingRun, TrainingRunArgs

shape = json.loads(os.environ.get("SHAPE", "{}"))
parts = shape.get("parts", ["greeting", "training", "serving"])
inventory = read_inventory(Path(shape.get("inventory", "ansible/inventory.yml")), groups=("training",))
common = {"scenario_root": shape.get("root") or str(Path("premises").absolute())}
before: list[pulumi.Resource] = []

if "greeting" in parts:
    greeting = Playbook(
        "greeting",
        PlaybookArgs(
            playbook="ansible/greet.yml",
            teardown="ansible/undo.yml",
            removed_hosts=shape.get("removed_hosts", []),
            inventory=inventory,
            variables={**common, "who": shape.get("who", "world"), "fails": shape.get("fails", "")},
            secrets={"password": shape["password"]} if "password" in shape else {},
            preview_check=shape.get("preview_check", False),
        ),
    )
    before.append(greeting)
    pulumi.export("results", greeting.results)
    pulumi.export("changes", greeting.changes)

if "training" in parts:
    training = TrainingRun(
        "training",
        TrainingRunArgs(
            playbook=PlaybookArgs(
                playbook="ansible/train.yml",
                inventory=inventory,
                variables={**common, "release_name": "assistant"},
            ),
            foundation={"kind": "packaged"},
            data={"kind": "python-reference", "held_out": 0.1},
            recipe={"rank": shape.get("rank", 16), "learning_rate": 0.0002},
            gate={"minimum_gain": shape.get("minimum_gain", 0.0)},
        ),
        pulumi.ResourceOptions(depends_on=list(before)),
    )
    before.append(training)
    pulumi.export("release", training.release)
    pulumi.export("evaluation", training.evaluation)

if "serving" in parts:
    authority = CertificateAuthority("authority", common_name="tests")
    server = ServerCertificate("server", authority=authority, names=["localhost", "127.0.0.1"])
    api_key = ApiKey("client")
    Playbook(
        "serving",
        PlaybookArgs(
            playbook="ansible/serve.yml",
            inventory=inventory,
            variables={**common, "certificate": server.certificate, "key_digest": api_key.sha256},
            secrets={"private_key": server.private_key},
        ),
        pulumi.ResourceOptions(depends_on=list(before)),
    )
    pulumi.export("ca_certificate", authority.certificate)
    pulumi.export("certificate", server.certificate)
    pulumi.export("private_key", server.private_key)
    pulumi.export("api_key", api_key.key)
    pulumi.export("authority_key", authority.private_key)
