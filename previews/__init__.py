"""Previews for pull requests: what a change does to every stack, without credentials, network or passphrase.

`sealed` takes the secrets out of state and settings, `sandbox` runs the engine on what is left, with `plugin` in place
of the clouds' providers; `events` reads what the engine says, `dangers` and `costs` judge it, `comment` writes it down.
"""

from __future__ import annotations

from bootstrap import ToolError


class PreviewError(ToolError):
    """A stack cannot be previewed: one line with the cause and the remedy."""
