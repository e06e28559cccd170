"""The programs of the lab's cloud: from PATH, an official release, or built from Go modules."""

from __future__ import annotations

from lab.binaries.find import programs

__all__ = ["programs"]
