"""Coroutines of workers that have died: kept where they stopped until the test ends, then closed."""

from __future__ import annotations

import asyncio
import warnings

from pq_testing import own_loop
from pq_testing.parking import Driven, bury


class Frozen:
    """What the dead of one drain have left: no `finally` of it runs before the end of the test."""

    def __init__(self) -> None:
        self._coroutines: list[Driven] = []
        self._watchman: asyncio.Task[None] | None = None

    def keep(self, coroutine: Driven) -> None:
        """Take a coroutine that nobody drives any more."""
        self._coroutines.append(coroutine)

    def mind_the_loop(self) -> None:
        """Have it closed with the running event loop of asyncio, if that ends before the test does.

        A loop that ends awaits the end of all async generators. Those of frozen coroutines would never come to it.
        """
        loop = asyncio.get_running_loop()
        if self._coroutines and not own_loop.is_own(loop):
            self._watchman = loop.create_task(self._watch())

    def close(self) -> None:
        """Close everything: `finally` blocks run now."""
        with warnings.catch_warnings():
            # A driver that was about to connect had no place yet to close its connection in.
            warnings.simplefilter("ignore", ResourceWarning)
            while self._coroutines:
                bury(self._coroutines.pop())
        if self._watchman is not None and not self._watchman.get_loop().is_closed():
            self._watchman.cancel()

    async def _watch(self) -> None:
        try:
            await asyncio.Event().wait()  # until the loop, which ends, cancels what still runs
        finally:
            self.close()
