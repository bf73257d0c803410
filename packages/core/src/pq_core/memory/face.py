"""What the two faces of the engine have in common."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from pq_core.answers import Deferred
from pq_core.errors import ConnectorClosed, ForkedConnector, WrongConnection
from pq_core.job import Job, NewJob
from pq_core.memory.deferring import Defer
from pq_core.memory.ending import Finish
from pq_core.memory.engine import Engine
from pq_core.memory.listing import Everything
from pq_core.memory.store import Operation
from pq_core.memory.transaction import MemoryTransaction
from pq_core.outcome import Outcome

Answer = TypeVar("Answer")
REASON = "cancelled by request"


class Face:
    """What both faces have. Each is opened and closed by itself, as the two pools of a database connector are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closed = False
        self._opened_in: int | None = None

    @property
    def jobs(self) -> dict[int, Job]:
        """All jobs by id, live and ended, as they are now: copies. Also of a closed connector."""
        return self._engine.do(Everything())

    def reset(self) -> None:
        """Forget all jobs, workers and pauses; the next job has the id 1. What open transactions deferred is gone."""
        self._engine.reset()

    def transaction(self) -> MemoryTransaction:
        """Return a transaction to enter with `with` or `async with`, and to pass as `connection=` to defer and finish.

        Jobs deferred in it exist, and wake workers, when it ends without an exception.
        """
        self._check_open()
        return MemoryTransaction(self._engine)

    def _open(self) -> None:
        self._closed = False
        self._opened_in = os.getpid()

    def _close(self) -> None:
        self._closed = self._opened_in is not None

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectorClosed("the in-memory connector is closed; open() it again")
        if self._opened_in is not None and self._opened_in != os.getpid():
            raise ForkedConnector(
                f"this connector was opened in process {self._opened_in}, of which this one ({os.getpid()}) is a fork, "
                "so nobody there would see what is done here; open() it again to go on with a copy"
            )

    def _do(self, operation: Operation[Answer], now: datetime | None) -> Answer:
        self._check_open()
        return self._engine.do(operation, now)

    def _defer(self, jobs: Sequence[NewJob], connection: object, now: datetime | None) -> list[Deferred]:
        if connection is None:
            return self._do(Defer(jobs), now)
        return self._own(connection).defer(jobs, now)

    def _finish(self, outcomes: Sequence[Outcome], connection: object, now: datetime | None) -> list[int]:
        if connection is None:
            return self._do(Finish(outcomes), now)
        return self._own(connection).finish(outcomes, now)

    def _own(self, connection: object) -> MemoryTransaction:
        self._check_open()
        if not isinstance(connection, MemoryTransaction):
            raise WrongConnection(
                f"connection is a {type(connection).__module__}.{type(connection).__qualname__}; in memory, "
                "pass what `with connector.transaction() as transaction:` gives"
            )
        if not connection.belongs_to(self._engine):
            raise WrongConnection("connection is a transaction of another InMemoryConnector")
        return connection
