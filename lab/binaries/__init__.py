"""The programs that the lab's cloud is made of: from PATH, an official release, or built from Go modules."""

from __future__ import annotations

from lab.binaries.find import programs

__all__ = ["programs"]
