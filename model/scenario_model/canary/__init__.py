"""Canaries: a new release beside the one that is served, for a part of the traffic, and the judgement of it. Pure."""
