"""`with run_jobs.rolls_back(connection)`: no job outlives the transaction that it was deferred in."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, TypeVar

from pq_core.connector import Connector
from pq_core.errors import WrongConnection, shown
from pq_core.job import Job
from pq_testing.errors import WrongBackend
from pq_testing.job_lines import count_of, job_line
from pq_testing.job_query import TellsTime
from pq_testing.rewinding import READY, Rewinding, in_memory, of_own_connection, of_own_memory, rewinding
from pq_testing.stored import stored_jobs

C = TypeVar("C")

MAX_LINES = 10


class HasStore(Protocol):
    """What is needed of the harness of a test."""

    @property
    def backend(self) -> Literal["memory", "postgres"]:
        """Where jobs are."""
        ...

    @property
    def connector(self) -> Connector:
        """Through which they are found: by a connection that is not the caller's."""
        ...

    @property
    def clock(self) -> TellsTime:
        """By which messages tell times."""
        ...


class RollsBack(Generic[C]):
    """Takes back, at the end of a block, what was done in it on a connection, and fails the test if a job is left.

    To enter by ``with``, or by ``async with`` for an async connection. What the connection's transaction did before the
    block stays. An exception in the block passes through, and the block is taken back all the same.

    Args:
        harness: of the test.
        connection: a connection of psycopg, a Connection or Session of SQLAlchemy, their async twins, Django's
            connection; in memory, what ``connector.transaction()`` gives, entered. None: the block is given a new one.

    Raises:
        AssertionError: at the end, if a job was deferred in the block that the rollback did not reach.
        WrongBackend: a connection to a database, and the jobs are in memory; or the other way round.
        WrongConnection: a connection of another kind, or an async one in a sync ``with``.

    .. versionadded:: 0.1
    """

    def __init__(self, harness: HasStore, connection: C | None = None) -> None:
        self._harness = harness
        self._connection: Any = connection
        self._given = connection is not None
        self._steps: Rewinding | None = None
        self._before: set[int] = set()

    def __enter__(self) -> C:
        self._check()
        if self._is_async():
            raise WrongConnection(
                f"connection is a {type(self._connection).__qualname__}, which has to be awaited: write `async with`"
            )
        self._before = {job.id for job in self._stored()}
        if not self._given and self._harness.backend == "postgres":
            import psycopg

            self._connection = psycopg.connect(self._conninfo())
        self._begin()
        _run(self._steps)
        connection: C = self._connection
        return connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        if error is None:
            _run(self._steps)
            self._fail_if_any(self._survivors())
        else:
            with suppress(Exception):  # The block's own error says more.
                _run(self._steps)

    async def __aenter__(self) -> C:
        self._check()
        self._before = {job.id for job in self._stored()}
        if not self._given and self._harness.backend == "postgres":
            import psycopg

            self._connection = await psycopg.AsyncConnection.connect(self._conninfo())
        self._begin()
        await _run_async(self._steps)
        connection: C = self._connection
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        import anyio

        with anyio.CancelScope(shield=True):
            if error is None:
                await _run_async(self._steps)
                self._fail_if_any(self._survivors())
            else:
                with suppress(Exception):  # As above.
                    await _run_async(self._steps)

    def _check(self) -> None:
        if not self._given:
            return
        from pq_core.memory import MemoryTransaction

        to_memory = isinstance(self._connection, MemoryTransaction)
        if self._harness.backend == "memory" and not to_memory:
            raise WrongBackend(
                f"connection {shown(self._connection)} is none of this test, whose jobs are in memory: mark the test "
                'with @pytest.mark.pq(backend="postgres"), or write `with run_jobs.rolls_back() as connection:` and '
                "defer with that one, which works on both"
            )
        if self._harness.backend == "postgres" and to_memory:
            raise WrongBackend(
                "connection is a transaction in memory, and the jobs of this test are in PostgreSQL: write `with "
                "run_jobs.rolls_back() as connection:` and defer with that one, which works on both"
            )

    def _is_async(self) -> bool:
        return self._given and inspect.iscoroutinefunction(getattr(self._connection, "rollback", None))

    def _begin(self) -> None:
        if self._harness.backend == "memory":
            if not self._given:
                self._connection = self._transaction()
            self._steps = in_memory(self._connection) if self._given else of_own_memory(self._connection)
        else:
            self._steps = rewinding(self._connection) if self._given else of_own_connection(self._connection)

    def _transaction(self) -> Any:
        connector: Any = self._harness.connector
        return connector.transaction()

    def _conninfo(self) -> str:
        link: Any = getattr(self._harness.connector, "_link", None)  # private, as it may hold a password
        if link is None:
            raise WrongConnection(
                f"a {type(self._harness.connector).__qualname__} does not tell how to connect: give rolls_back() the "
                "connection"
            )
        conninfo: str = link.conninfo
        return conninfo

    def _stored(self) -> list[Job]:
        """Return what is in the store; not what the ledger remembers of runs that were rolled back themselves."""
        return stored_jobs(self._harness.connector.sync)

    def _survivors(self) -> list[Job]:
        return [job for job in self._stored() if job.id not in self._before]

    def _fail_if_any(self, survivors: Sequence[Job]) -> None:
        __tracebackhide__ = True
        if not survivors:
            return
        now = self._harness.clock.now()
        lines = [f"  {job_line(job, now)}" for job in survivors[:MAX_LINES]]
        if more := survivors[MAX_LINES:]:
            lines.append(f"  and {count_of(len(more), 'more job')}")
        outside = f"{count_of(len(survivors), 'job')} outlived the rollback, deferred outside of the transaction"
        raise AssertionError("\n".join([f"{outside}; {self._remedy(survivors[0])}:", "", *lines]))

    def _remedy(self, job: Job) -> str:
        if getattr(self._connection, "autocommit", None) is True:
            return "the connection commits each statement by itself (autocommit), so open a transaction on it"
        name = job.task.replace(":", ".").rpartition(".")[2]
        return f"pass connection= to configure(), as in {name}.configure(connection=connection).defer(...)"


def _run(steps: Rewinding | None) -> None:
    """Go on until the block is to run, or nothing is left to do."""
    answer: Any = None
    while steps is not None:
        try:
            answer = steps.send(answer)
        except StopIteration:
            return
        if answer is READY:
            return


async def _run_async(steps: Rewinding | None) -> None:
    """Do what :func:`_run` does; answers may be awaitable."""
    answer: Any = None
    fault: Exception | None = None
    while steps is not None:
        try:
            answer = steps.send(answer) if fault is None else steps.throw(fault)
        except StopIteration:
            return
        if answer is READY:
            return
        fault = None
        if inspect.isawaitable(answer):
            try:
                answer = await answer
            except Exception as error:  # noqa: BLE001 - the generator knows what to make of it
                fault = error
