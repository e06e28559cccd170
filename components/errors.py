"""Errors that stop an update, as `pulumi` shows them: one line that names what, where and the remedy."""

from __future__ import annotations


class StackError(Exception):
    """A stack cannot be updated."""


class PremisesError(StackError):
    """An inventory, a playbook, a host or a local file stops the update."""


class CloudError(StackError):
    """AWS would refuse what is asked for, or it is not safe."""


class ClusterError(StackError):
    """A Kubernetes cluster does not do what is asked for."""


# Pulumi prints an exception as `module.Class: message`; without a module the user reads the plain words.
for _kind in (PremisesError, CloudError, ClusterError):
    _kind.__module__ = "builtins"
