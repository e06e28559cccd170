"""Errors that stop an update, as `pulumi` shows them: one line with what, where and the remedy."""

from __future__ import annotations


class StackError(Exception):
    """A stack cannot be updated."""


class PremisesError(StackError):
    """An inventory, a playbook, a host or a local file stops the update."""


class CloudError(StackError):
    """AWS would refuse the request, or it is not safe."""


class ClusterError(StackError):
    """A Kubernetes cluster refuses or fails a request."""


# Pulumi prints an exception as `module.Class: message`; without a module the user sees the message only.
for _kind in (PremisesError, CloudError, ClusterError):
    _kind.__module__ = "builtins"
