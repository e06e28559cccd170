"""Puts the lab's EKS into moto."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.eks import urls

from lab.aws.eks.additions import Additions

if TYPE_CHECKING:
    from pathlib import Path


def install(kubeconfig: Path) -> None:
    """Make moto answer EKS's requests with all of it, before its server starts."""
    Additions.kubeconfig = kubeconfig
    patterns = ["{0}/clusters$", "{0}/clusters/(?P<name>.+)$", "{0}/tags/(?P<resourceArn>.+)$"]
    urls.url_paths = dict.fromkeys([*patterns, "{0}/access-policies$"], Additions.dispatch)
