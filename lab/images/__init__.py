"""The images that the lab's cluster runs, as archives to import: made here, without a container engine."""

from __future__ import annotations

from lab.images.find import image, reference

__all__ = ["image", "reference"]
