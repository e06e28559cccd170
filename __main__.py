"""The Pulumi program: a stack is a scenario, its settings shape it, its outputs are exported."""

from __future__ import annotations

import pulumi
from pulumi.runtime import get_config_env, get_config_secret_keys_env

from stacks.ending import end_program
from stacks.program import build

try:
    outputs = build(pulumi.get_stack(), get_config_env(), get_config_secret_keys_env())
except pulumi.RunError as error:
    end_program(str(error))
for name, value in outputs.items():
    pulumi.export(name, value)
