"""One waits for the bell, anyone rings it."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import attrs


@attrs.define
class Bell:
    """A wake-up that is not lost when nobody waits; rung many times, it rings once. For one event loop."""

    _rung: bool = False
    _waiter: anyio.Event | None = None

    def ring(self) -> None:
        """Wake who waits, or else whoever waits next."""
        if self._rung:
            return
        self._rung = True
        if self._waiter is not None:
            self._waiter.set()

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until the bell rings, at most `seconds`; return whether it rang.

        Others get their turn even if it has rung already.
        """
        if self._rung:
            self._rung = False
            await anyio.lowlevel.checkpoint()
            return True
        self._waiter = anyio.Event()
        try:
            with anyio.move_on_after(seconds):
                await self._waiter.wait()
        finally:
            self._waiter = None
        rung, self._rung = self._rung, False
        return rung
