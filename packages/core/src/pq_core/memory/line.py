"""A line of jobs in which the first is always known, and any may leave."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

Place = TypeVar("Place", bound=tuple[Any, int])
"""Where a job stands: a tuple that sorts as the line does, and ends in the job's id."""

SLACK = 64
"""Places of jobs that have left which are kept before a line is looked through."""


class Line(Generic[Place]):
    """Places in order; entering, leaving and finding the first cost O(log n), over time.

    Who leaves is only struck off the members; the heap forgets that place when it comes to the front, or when more than
    half of the heap is such places.
    """

    __slots__ = ("_heap", "_members")

    def __init__(self) -> None:
        self._heap: list[Place] = []
        self._members: set[Place] = set()

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Place]:
        """Give all places, in no order."""
        return iter(self._members)

    def add(self, place: Place) -> None:
        """Let a job stand at `place`."""
        self._members.add(place)
        heappush(self._heap, place)

    def discard(self, place: Place) -> None:
        """Let the job at `place` leave, if one stands there."""
        self._members.discard(place)
        if len(self._heap) > 2 * len(self._members) + SLACK:
            self._heap = list(self._members)
            heapify(self._heap)

    def first(self) -> Place | None:
        """Return the first place, or None if the line is empty."""
        heap, members = self._heap, self._members
        while heap and heap[0] not in members:
            heappop(heap)
        return heap[0] if heap else None
