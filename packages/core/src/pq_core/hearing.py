"""What a listener may be told beyond that there is news."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import attrs


@attrs.frozen
class Room:
    """That a worker waits for jobs, and will ask for them by fetch() next, whatever happens.

    Attributes:
        worker: its id.
        jobs: how many it can take.

    .. versionadded:: 0.1
    """

    worker: int
    jobs: int


@runtime_checkable
class Hearer(Protocol):
    """A `wake` of listen() that tells news apart. A connector that can do so too calls these; others call it as it is.

    .. versionadded:: 0.1
    """

    def __call__(self) -> None:
        """Hear that there is news of any kind."""
        ...

    def started(self) -> None:
        """Hear, once, that listening works, and that all news of these kinds is told from now on."""
        ...

    def jobs(self) -> Room | None:
        """Hear that there may be something to fetch.

        Returns:
            what the connector may claim for it at once, to be given as the answer to its fetch(); None if nothing.
        """
        ...

    def stop(self, worker: int) -> None:
        """Hear that jobs of a worker are to stop."""
        ...

    def schedules(self) -> None:
        """Hear that schedules have changed."""
        ...
