"""Installs the lab's EKS in moto."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.eks import urls

from lab.aws.eks.additions import Additions

if TYPE_CHECKING:
    from pathlib import Path


def install(kubeconfig: Path) -> None:
    """Register all of it with moto, before its server starts."""
    Additions.kubeconfig = kubeconfig
    patterns = ["{0}/clusters$", "{0}/clusters/(?P<name>.+)$", "{0}/tags/(?P<resourceArn>.+)$"]
    urls.url_paths = dict.fromkeys([*patterns, "{0}/access-policies$"], Additions.dispatch)
