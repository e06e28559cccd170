#!/usr/bin/python
"""Ansible module: have one table of nftables loaded as given, or gone; other tables are never touched."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: nft_table
short_description: One table of nftables, as given
description:
  - Compares the kernel's table with what the given rules become in an empty network namespace, so that a
    table that was changed by hand is seen and mended.
  - Loads in one transaction; rules that nft does not take change nothing.
options:
  name: {type: str, required: true, description: [The table, of family inet.]}
  rules:
    type: str
    description: [Text for C(nft -f) that replaces the table. Needed for V(present).]
  state:
    type: str
    default: present
    choices: [present, absent]
    description: [Whether there is to be such a table.]
author: [model-deployment-scenarios]
"""
RETURN = r""" # """

# -s: without the counters' values, which are no part of the rules.
_LIST = ["nft", "--stateless", "list", "table", "inet"]


def _live(module: AnsibleModule) -> str:
    """Return the kernel's table, or nothing where there is none."""
    code, text, said = module.run_command([*_LIST, module.params["name"]])
    if code and "No such file" not in said:
        module.fail_json(msg=f"nft cannot list table {module.params['name']}: {said.strip()}")
    return "" if code else text


def _loaded_apart(module: AnsibleModule, rules: str) -> str:
    """Return what the kernel makes of the rules, tried where no packet passes."""
    script = 'nft -f - && exec "$@"'
    apart = ["unshare", "--net", "sh", "-c", script, "sh", *_LIST, module.params["name"]]
    code, text, said = module.run_command(apart, data=rules, binary_data=True)
    if code:
        module.fail_json(
            msg=f"nft does not take the rules of {module.params['name']}: {said.strip().splitlines()[0]}"
        )
    return str(text)


def main() -> None:
    """Compare, load or delete, answer with the difference."""
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
        module.fail_json(msg="nft is not there; install the package nftables")
    before = "" if missing else _live(module)
    # Where nft is yet to come, the text itself has to do for the prediction.
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
