"""The signals that the parent hears, in the order in which they came."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_HEARD = (*STOP_SIGNALS, signal.SIGCHLD)


class Ears:
    """Waits for signals. Python writes the number of each into a pipe, so that none is missed between two waits."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def wait(self, seconds: float | None) -> int:
        """Wait until a signal comes, also that of a child's end, or for so long; return how many asked to stop."""
        select.select([self._pipe], [], [], seconds)
        heard = b""
        with suppress(BlockingIOError):
            heard = os.read(self._pipe, 4096)
        return sum(number in STOP_SIGNALS for number in heard)

    def close(self) -> None:
        """Let the signals that ask to stop have their usual effect from here on."""
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def listening() -> Generator[Ears]:
    """Hear signals for the time of the block."""
    hearing, written = os.pipe()
    for end in (hearing, written):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    before = {number: signal.signal(number, _go_on) for number in _HEARD}
    try:
        yield Ears(hearing)
    finally:
        for number, function in before.items():
            signal.signal(number, function)
        signal.set_wakeup_fd(-1)
        os.close(hearing)
        os.close(written)


def _go_on(*_: object) -> None:
    """Do nothing: the number stands in the pipe. A signal without a function would leave none there."""
