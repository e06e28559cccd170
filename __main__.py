"""The Pulumi program: a stack is a scenario, its settings shape it, its outputs are exported."""

from __future__ import annotations

import sys

import pulumi
from pulumi.runtime import get_config_env, get_config_secret_keys_env

from stacks.program import build

_ALREADY_SAID = 32  # the exit code by which Pulumi adds no error of its own

try:
    outputs = build(pulumi.get_stack(), get_config_env(), get_config_secret_keys_env())
except pulumi.RunError as error:
    pulumi.log.error(str(error))
    sys.exit(_ALREADY_SAID)
for name, value in outputs.items():
    pulumi.export(name, value)
