"""Many jobs in one call that holds few of them at a time: made, sent and answered in batches, all or none.

A connector that can do that by itself has a method more, `defer_batches`: see :class:`StreamsJobs`. Any other that has
transactions to lend is given the batches in one of these, and one that has not is given all jobs at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from typing import Any, Protocol, TypeVar, cast

import attrs

from pq_core.answers import Deferred
from pq_core.connector import SyncTransactional, Transactional, has_transactions
from pq_core.errors import InvalidJob
from pq_core.job import NewJob

T = TypeVar("T")
Tell = Callable[[list[Deferred]], object]
"""Is told what became of each batch, in order."""

BATCH = 2_000
"""Jobs at a time: more would not be stored faster."""
LONG = 10_000
"""From so many jobs on it pays to send a list in batches."""


class StoresJobs(Protocol):
    """As much of a connector as it takes to store jobs."""

    @property
    def sync(self) -> StoresJobsSync:
        """The twin for callers that cannot await."""
        ...

    async def defer(self, jobs: Sequence[NewJob], *, connection: Any = None) -> list[Deferred]:
        """Store jobs, as :meth:`pq_core.Connector.defer` does."""
        ...


class StoresJobsSync(Protocol):
    """The twin of :class:`StoresJobs` for callers that cannot await."""

    def defer(self, jobs: Sequence[NewJob], *, connection: Any = None) -> list[Deferred]:
        """Store jobs, as :meth:`pq_core.Connector.defer` does."""
        ...


class StreamsJobs(StoresJobs, Protocol):
    """What a connector has, besides, that can store batches while they are made.

    .. versionadded:: 0.1
    """

    async def defer_batches(self, batches: AsyncIterable[Sequence[NewJob]], tell: Tell) -> None:
        """Store all jobs of all batches, or none, as `defer` does, and tell of each batch, in order.

        It holds a few batches at a time. What `batches` or `tell` raise leaves nothing stored.

        Raises:
            InvalidJob: as `defer`; `index` counts from the first job of the first batch.
        """
        ...


class StreamsJobsSync(StoresJobsSync, Protocol):
    """The twin of :class:`StreamsJobs` for callers that cannot await.

    .. versionadded:: 0.1
    """

    def defer_batches(self, batches: Iterable[Sequence[NewJob]], tell: Tell) -> None:
        """Do what its twin does."""
        ...


def can_stream(store: object) -> bool:
    """Whether it is a :class:`StreamsJobs`, or its twin."""
    return hasattr(store, "defer_batches")


def stream(store: StoresJobsSync, jobs: Iterable[NewJob], tell: Tell, connection: Any = None) -> None:
    """Store jobs, all or none; in a transaction of the caller's that is for the caller to see to.

    Raises:
        InvalidJob: see `StreamsJobs.defer_batches`.
    """
    batches = in_batches(jobs, BATCH)
    if connection is None:
        stream_batches(store, batches, tell)
    else:
        _one_by_one(store, batches, tell, connection)


async def stream_async(
    store: StoresJobs, jobs: Iterable[NewJob] | AsyncIterable[NewJob], tell: Tell, connection: Any = None
) -> None:
    """Do what :func:`stream` does."""
    async with aclosing(in_batches_async(jobs, BATCH)) as batches:
        if connection is None:
            await stream_batches_async(store, batches, tell)
        else:
            await _one_by_one_async(store, batches, tell, connection)


def stream_batches(store: StoresJobsSync, batches: Iterable[Sequence[NewJob]], tell: Tell) -> None:
    """Store all jobs of all batches, or none, in any store."""
    if can_stream(store):
        cast("StreamsJobsSync", store).defer_batches(batches, tell)
    elif has_transactions(store):
        with cast("SyncTransactional", store).transaction() as connection:
            _one_by_one(store, batches, tell, connection)
    else:
        gathered = [*batches]
        _tell_each(gathered, store.defer([job for batch in gathered for job in batch]), tell)


async def stream_batches_async(store: StoresJobs, batches: AsyncIterable[Sequence[NewJob]], tell: Tell) -> None:
    """Do what :func:`stream_batches` does."""
    if can_stream(store):
        await cast("StreamsJobs", store).defer_batches(batches, tell)
    elif has_transactions(store):
        async with cast("Transactional", store).transaction() as connection:
            await _one_by_one_async(store, batches, tell, connection)
    else:
        gathered = [batch async for batch in batches]
        _tell_each(gathered, await store.defer([job for batch in gathered for job in batch]), tell)


def _one_by_one(store: StoresJobsSync, batches: Iterable[Sequence[NewJob]], tell: Tell, connection: Any) -> None:
    first = 0
    for batch in batches:
        try:
            answers = store.defer(batch, connection=connection)
        except InvalidJob as reason:
            raise reason.after(first) from reason.__cause__
        first += len(batch)
        tell(answers)


async def _one_by_one_async(
    store: StoresJobs, batches: AsyncIterable[Sequence[NewJob]], tell: Tell, connection: Any
) -> None:
    first = 0
    async for batch in batches:
        try:
            answers = await store.defer(batch, connection=connection)
        except InvalidJob as reason:
            raise reason.after(first) from reason.__cause__
        first += len(batch)
        tell(answers)


def _tell_each(batches: Sequence[Sequence[NewJob]], answers: list[Deferred], tell: Tell) -> None:
    rest = iter(answers)
    for batch in batches:
        tell([*islice(rest, len(batch))])


def in_batches(items: Iterable[T], size: int) -> Generator[list[T]]:
    """Yield lists of `size` items, and what is left."""
    rest = iter(items)
    while batch := [*islice(rest, size)]:
        yield batch


async def in_batches_async(items: Iterable[T] | AsyncIterable[T], size: int) -> AsyncGenerator[list[T]]:
    """Do what :func:`in_batches` does."""
    if not isinstance(items, AsyncIterable):
        for batch in in_batches(items, size):
            yield batch
        return
    gathered: list[T] = []
    async with read_through(items) as rest:
        async for item in rest:
            gathered.append(item)
            if len(gathered) == size:
                yield gathered
                gathered = []
    if gathered:
        yield gathered


@asynccontextmanager
async def read_through(items: AsyncIterable[T]) -> AsyncGenerator[AsyncIterator[T]]:
    """Give what iterates; a generator is closed after the block, here and now: the event loop would, some time later.

    Whatever else can be closed, such as a stream of the caller's, is the caller's to close.
    """
    iterator = aiter(items)
    if isinstance(iterator, AsyncGenerator):
        async with aclosing(cast("AsyncGenerator[T]", iterator)) as generator:
            yield generator
    else:
        yield iterator


@attrs.define
class Tally:
    """Counts what became of the jobs of a stream.

    Attributes:
        on_progress: is called with `done`, after each batch.
        done: how many jobs are through.
        new: how many of these were stored; the others gave way to one of their unique key.
    """

    on_progress: Callable[[int], object] | None = None
    done: int = 0
    new: int = 0

    def __call__(self, answers: list[Deferred]) -> None:
        """Count a batch."""
        self.done += len(answers)
        self.new += sum(answer.status == "new" for answer in answers)
        if self.on_progress is not None:
            self.on_progress(self.done)
