"""The images of the lab's cluster, as archives to import: built here, without a container engine."""

from __future__ import annotations

from lab.images.find import image, reference

__all__ = ["image", "reference"]
