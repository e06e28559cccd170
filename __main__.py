"""The Pulumi program: the stack's name picks the scenario, its settings shape it."""

from __future__ import annotations

import pulumi
from pulumi.runtime import get_config_env, get_config_secret_keys_env

from stacks.scenario import build

for name, value in build(pulumi.get_stack(), get_config_env(), get_config_secret_keys_env()).items():
    pulumi.export(name, value)
