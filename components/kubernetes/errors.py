"""What can go wrong in a Kubernetes cluster, as `pulumi` shows it: one line."""

from __future__ import annotations


class ClusterError(Exception):
    """A setting, a cluster or a job in it that stops an update; says what, where and the remedy."""


# Pulumi prints an exception as `module.Class: message`; without a module the user reads the plain words.
ClusterError.__module__ = "builtins"
