"""Documents name what is there: resources as the programs register them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILDERS = ("s3_local.py", "builders/premises.py", "builders/hosts.py")
RESOURCES = {"Playbook", "TrainingRun", "CertificateAuthority", "ServerCertificate", "ApiKey", "StackId"}


def test_the_resources_that_a_document_names_are_those_of_the_code() -> None:
    registered = {
        node.args[0].value
        for file in BUILDERS
        for node in ast.walk(ast.parse((ROOT / "stacks" / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RESOURCES
        if isinstance(node.args[0], ast.Constant)
    }
    text = (ROOT / "docs" / "s3-local.md").read_text(encoding="utf-8").partition("## What runs where")[2]
    section = text.partition("\n## ")[0]
    table = set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE))
    (others,) = re.findall(r"beside the stack's (.*):", section)
    assert table | set(re.findall(r"`([a-z]+)`", others)) == registered
