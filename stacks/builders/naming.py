"""Names the setting in an error of a component, which does not know where its inputs come from."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def of_setting(name: str) -> Iterator[None]:
    """Put a setting's name before what is wrong with its value. Raises CloudError."""
    try:
        yield
    except CloudError as error:
        raise CloudError(f"{name}: {error}") from None
