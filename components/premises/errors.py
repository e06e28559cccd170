"""What can go wrong on the premises, as `pulumi` shows it: one line."""

from __future__ import annotations


class PremisesError(Exception):
    """An inventory, playbook or host that stops an update; the message names what, where and the remedy."""


# Pulumi prints an exception as `module.Class: message`; without a module the user reads the plain words.
PremisesError.__module__ = "builtins"
