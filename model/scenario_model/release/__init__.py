"""Releases: sign, verify, store, point channels at them. Nothing here imports torch or parses a weight."""
