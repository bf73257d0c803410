"""The event loop that runs here, asyncio's or trio's, as other threads reach it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress

Caller = Callable[[Callable[[], None]], object]


def call_soon_in_loop() -> Caller:
    """Return the function that other threads call to have something called in this event loop. It never waits.

    It raises RuntimeError when the loop has ended.
    """
    # trio first: as a guest of an asyncio loop it sees that loop running, but must be woken itself.
    if "trio" in sys.modules:
        import trio

        with suppress(RuntimeError):
            return trio.lowlevel.current_trio_token().run_sync_soon
    import asyncio  # who only defers shall not pay for it

    return asyncio.get_running_loop().call_soon_threadsafe
