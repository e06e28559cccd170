#!/usr/bin/python
"""Ansible module: load or remove one nftables table; other tables are never touched."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: nft_table
short_description: Load or remove one nftables table
description:
  - Compares the kernel's table with the given rules as loaded in an empty network namespace, so that manual
    changes are detected and reverted.
  - Loads in one transaction; rules that nft rejects change nothing.
options:
  name: {type: str, required: true, description: [The table, of family inet.]}
  rules:
    type: str
    description: [Text for C(nft -f) that replaces the table. Required for V(present).]
  state:
    type: str
    default: present
    choices: [present, absent]
    description: [Whether the table should exist.]
author: [model-deployment-scenarios]
"""
RETURN = r""" # """

# -s: without counter values, which are not part of the rules.
_LIST = ["nft", "--stateless", "list", "table", "inet"]


def _live(module: AnsibleModule) -> str:
    """Return the kernel's table, or an empty string if there is none."""
    code, text, said = module.run_command([*_LIST, module.params["name"]])
    if code and "No such file" not in said:
        module.fail_json(msg=f"nft cannot list table {module.params['name']}: {said.strip()}")
    return "" if code else text


def _loaded_apart(module: AnsibleModule, rules: str) -> str:
    """Return the rules as the kernel lists them, loaded in a namespace without traffic."""
    script = 'nft -f - && exec "$@"'
    apart = ["unshare", "--net", "sh", "-c", script, "sh", *_LIST, module.params["name"]]
    code, text, said = module.run_command(apart, data=rules, binary_data=True)
    if code:
        module.fail_json(
            msg=f"nft rejects the rules of {module.params['name']}: {said.strip().splitlines()[0]}"
        )
    return str(text)


def main() -> None:
    """Compare, load or delete, and return the difference."""
    options: dict[str, Any] = {
        "name": {"type": "str", "required": True},
        "rules": {"type": "str"},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    }
    module = AnsibleModule(
        argument_spec=options, required_if=[("state", "present", ["rules"])], supports_check_mode=True
    )
    name, rules = module.params["name"], module.params["rules"]
    present = module.params["state"] == "present"
    missing = not module.get_bin_path("nft")
    if missing and not (module.check_mode or not present):
        module.fail_json(msg="nft is missing; install the package nftables")
    before = "" if missing else _live(module)
    # If nft is not installed yet, predict from the text itself.
    after = "" if not present else rules if missing else _loaded_apart(module, rules)
    if before != after and not module.check_mode:
        command = ["nft", "-f", "-"] if present else ["nft", "delete", "table", "inet", name]
        code, _, said = module.run_command(command, data=rules if present else None, binary_data=True)
        if code:
            module.fail_json(msg=f"nft cannot replace table {name}: {said.strip()}")
    table = f"table inet {name}"
    difference = {"before": before, "after": after, "before_header": table, "after_header": table}
    module.exit_json(changed=before != after, diff=difference)


if __name__ == "__main__":
    main()
