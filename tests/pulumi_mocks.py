"""Pulumi programs before mocks, on event loops that are closed in the end.

Pulumi makes one in each of its threads and leaves it to the garbage collector, whose warning fails whichever
test is running by then.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from unittest.mock import patch

import pulumi

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def mocked(
    mocks: pulumi.runtime.Mocks, *, project: str = "tests", stack: str = "mocked", preview: bool = False
) -> Iterator[None]:
    """Within it, a program that `pulumi.runtime.test` runs declares to these mocks."""
    make, made = asyncio.new_event_loop, list[asyncio.AbstractEventLoop]()

    def noted() -> asyncio.AbstractEventLoop:
        made.append(make())
        return made[-1]

    with patch("asyncio.new_event_loop", noted):
        main = noted()
        asyncio.set_event_loop(main)
        try:
            pulumi.runtime.set_mocks(mocks, project=project, stack=stack, preview=preview)
            yield
        finally:
            main.run_until_complete(_end())
            pulumi.runtime.settings.reset_options()
            asyncio.set_event_loop(None)
            for loop in made:
                loop.close()


async def _end() -> None:
    """End what a program that failed has left, and the threads."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
