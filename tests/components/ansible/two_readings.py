"""A program: what `ansible-inventory --list` and our reader make of pairs of inventory and playbooks.

It loads Ansible's library, which takes half a second, once; each reading is a fork.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import sys

from ansible.cli.inventory import InventoryCLI

from components.ansible.inventory_reader import described


def listed(inventory: str, playbooks: str) -> object:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        InventoryCLI(["ansible-inventory", "--list", "-i", inventory, "--playbook-dir", playbooks]).run()
    return json.loads(shown.getvalue())


if __name__ == "__main__":
    pairs = json.load(sys.stdin)
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        theirs = pool.starmap(listed, pairs, chunksize=1) if "--both" in sys.argv else [None] * len(pairs)
        ours = pool.starmap(described, pairs, chunksize=1)
    json.dump(list(zip(theirs, ours, strict=True)), sys.stdout)
