"""SIGTERM and SIGINT, as a worker understands them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import anyio


async def obey_signals(stop: Callable[[], None], stop_now: Callable[[], None]) -> None:
    """Call `stop` at the first signal and `stop_now` at the second; a third one has its usual effect.

    Returns at once outside of the main thread, which alone may handle signals, and where the platform has none.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    try:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            acts = iter((stop, stop_now))
            async for _ in signals:
                act = next(acts)
                act()
                if act is stop_now:
                    return
    except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt, which cancels the worker
        return
