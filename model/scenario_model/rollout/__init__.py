"""Leads a release from ring to ring on what sites report, and back if it is bad."""
