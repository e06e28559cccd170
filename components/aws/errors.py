"""What can go wrong in the cloud, as `pulumi` shows it: one line."""

from __future__ import annotations


class CloudError(Exception):
    """A setting or a request that AWS would refuse, or that is not safe; says what, where and the remedy."""


# Pulumi prints an exception as `module.Class: message`; without a module the user reads the plain words.
CloudError.__module__ = "builtins"
