"""A count of job starts in a memory-mapped file: jobs write it, the benchmark reads it. Costs half a microsecond a job.

Layout: the number of starts, the time of the first, the time of the last, then a time for each probe. Times are seconds
of the monotonic clock, which all processes of one machine share. One process writes.
"""

from __future__ import annotations

import mmap
import struct
import threading
import time
from pathlib import Path

MOST_PROBES = 10_000
_HEAD = struct.Struct("<qdd")
_TIME = struct.Struct("<d")
_SIZE = _HEAD.size + MOST_PROBES * _TIME.size


class Tally:
    """The file, opened."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SIZE)
        self._turn = threading.Lock()
        self._count = 0
        self._first = 0.0

    @classmethod
    def create(cls, path: Path) -> Tally:
        """Make the file anew, all zero."""
        path.unlink(missing_ok=True)
        with path.open("wb") as file:
            file.truncate(_SIZE)
        return cls(path)

    def tick(self, probe: int | None = None) -> None:
        """Note that a job starts now; `probe` is its number if its own start is asked for."""
        now = time.monotonic()
        with self._turn:
            if not self._count:
                self._first = now
            self._count += 1
            _HEAD.pack_into(self._map, 0, self._count, self._first, now)
        if probe is not None:
            _TIME.pack_into(self._map, _HEAD.size + probe * _TIME.size, now)

    def read(self) -> tuple[int, float, float]:
        """Return the number of starts, the time of the first, and the time of the last."""
        count, first, last = _HEAD.unpack_from(self._map)
        return count, first, last

    def probes(self, count: int) -> list[float]:
        """Return the starts of the first `count` probes, 0.0 for one that has not started."""
        return [_TIME.unpack_from(self._map, _HEAD.size + number * _TIME.size)[0] for number in range(count)]
