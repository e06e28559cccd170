"""A tiny stack of the real components, shaped by the JSON in SHAPE; its playbook takes a second."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pulumi

from components.credentials import ApiKey, CertificateAuthority, ServerCertificate
from components.premises.hosts import read_inventory
from components.premises.playbook import Playbook, PlaybookArgs
from components.premises.training_run import TrainingRun, TrainingRunArgs

shape = json.loads(os.environ.get("SHAPE", "{}"))
root = str(Path("premises").absolute())
inventory = read_inventory(Path(shape.get("inventory", "ansible/inventory.yml")), groups=("training",))
common = {"scenario_root": root}

first = Playbook(
    "first",
    PlaybookArgs(
        playbook="ansible/tiny.yml",
        teardown="ansible/undo.yml",
        inventory=inventory,
        variables={**common, "who": shape.get("who", "world"), "fails": shape.get("fails", "")},
        secrets={"password": shape["password"]} if "password" in shape else {},
        preview_check=shape.get("preview_check", False),
    ),
)
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
    pulumi.ResourceOptions(depends_on=[first]),
)
authority = CertificateAuthority("authority", common_name="tests")
server = ServerCertificate("server", authority=authority, names=["localhost", "127.0.0.1"])
api_key = ApiKey("client")
Playbook(
    "last",
    PlaybookArgs(
        playbook="ansible/last.yml",
        inventory=inventory,
        variables={**common, "certificate": server.certificate, "key_digest": api_key.sha256},
        secrets={"private_key": server.private_key},
        after=[training.release],
    ),
)
pulumi.export("results", first.results)
pulumi.export("changes", first.changes)
pulumi.export("release", training.release)
pulumi.export("run", training.run)
pulumi.export("ca_certificate", authority.certificate)
pulumi.export("certificate", server.certificate)
pulumi.export("api_key", api_key.key)
pulumi.export("private_key", server.private_key)
