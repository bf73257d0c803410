"""Code of the user's that surrounds each call that stores jobs.

A middleware is a generator function of the jobs that are about to be stored. It yields the jobs to store, as many, in
the same order; is sent what became of each, or thrown the error of the store; and ends. So one function serves sync and
async calls, single jobs and batches: it waits for nothing. The first one of a list is the outermost.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, aclosing
from functools import partial
from typing import Any, Self

import attrs

from pq_core.answers import Deferred
from pq_core.errors import InvalidOption, shown
from pq_core.given import several
from pq_core.job import NewJob
from pq_core.streaming import StoresJobs, StoresJobsSync, Tell, can_stream, stream_batches, stream_batches_async

Passage = Generator[Sequence[NewJob], list[Deferred], None]
"""What a middleware is while jobs are stored: yields jobs, is sent what became of them."""
DeferMiddleware = Callable[[list[NewJob]], Passage]


def check_defer_middleware(middleware: object) -> None:
    """Refuse what is no list of generator functions.

    Raises:
        InvalidOption: it is none.
    """
    for each in several("defer_middleware", middleware, "a list of generator functions"):
        if not _is_generator(each):
            raise InvalidOption(
                f"defer_middleware {shown(each)} is no generator function: write `def` and, once, "
                "`deferred = yield jobs`, also for async calls"
            )


def _is_generator(middleware: object) -> bool:
    inner = middleware.func if isinstance(middleware, partial) else middleware
    return inspect.isgeneratorfunction(inner) or inspect.isgeneratorfunction(getattr(inner, "__call__", None))  # noqa: B004 - an object with such a __call__ is one, too


def surround_defer(store: StoresJobs, middleware: Sequence[DeferMiddleware]) -> StoresJobs:
    """Return what stores jobs in `store`, surrounded by middleware.

    What it raises, besides: `InvalidOption`, if a middleware does not yield as many jobs as it was given, once.
    """
    return Surrounded(store, middleware) if middleware else store


def streams_alone(store: object) -> bool:
    """Whether it can store batches while they are made, and no middleware wants to see a list as a whole."""
    return can_stream(store) and not isinstance(store, (Surrounded, SurroundedSync))


@attrs.frozen(eq=False)
class Surrounded:
    """What stores jobs, surrounded by middleware."""

    _store: StoresJobs
    _middleware: Sequence[DeferMiddleware]

    @property
    def sync(self) -> SurroundedSync:
        """The twin for callers that cannot await."""
        return SurroundedSync(self._store.sync, self._middleware)

    async def defer(self, jobs: Sequence[NewJob], *, connection: Any = None) -> list[Deferred]:
        """Store jobs, as :meth:`pq_core.Connector.defer` does."""
        with _Passages(self._middleware) as passages:
            inner = passages.enter(jobs)
            return passages.leave(await self._store.defer(inner, connection=connection))

    async def defer_batches(self, batches: AsyncIterable[Sequence[NewJob]], tell: Tell) -> None:
        """Store batches, each as if it were a call of its own."""
        with _Procession(self._middleware, tell) as procession:

            async def entered() -> AsyncGenerator[Sequence[NewJob]]:
                async for jobs in batches:
                    yield procession.enter(jobs)

            async with aclosing(entered()) as inner:
                await stream_batches_async(self._store, inner, procession.leave)


@attrs.frozen(eq=False)
class SurroundedSync:
    """The twin of :class:`Surrounded` for callers that cannot await."""

    _store: StoresJobsSync
    _middleware: Sequence[DeferMiddleware]

    def defer(self, jobs: Sequence[NewJob], *, connection: Any = None) -> list[Deferred]:
        """Store jobs, as :meth:`pq_core.Connector.defer` does."""
        with _Passages(self._middleware) as passages:
            inner = passages.enter(jobs)
            return passages.leave(self._store.defer(inner, connection=connection))

    def defer_batches(self, batches: Iterable[Sequence[NewJob]], tell: Tell) -> None:
        """Store batches, each as if it were a call of its own."""
        with _Procession(self._middleware, tell) as procession:
            stream_batches(self._store, map(procession.enter, batches), procession.leave)


@attrs.define(eq=False)
class _Procession:
    """Batches on their way through the middleware: some may have entered before the first leaves."""

    _middleware: Sequence[DeferMiddleware]
    _tell: Tell
    _inside: deque[_Passages] = attrs.field(init=False, factory=deque["_Passages"])

    def enter(self, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        self._inside.append(_Passages(self._middleware))
        return self._inside[-1].enter(jobs)

    def leave(self, deferred: list[Deferred]) -> None:
        answers = self._inside[0].leave(deferred)
        self._inside.popleft()
        self._tell(answers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Tell the middleware of an error, for each batch that is inside."""
        with ExitStack() as stack:
            for passages in self._inside:
                stack.push(passages)
            if error is not None:
                raise error


@attrs.define(eq=False)
class _Passages:
    """One call of defer on its way in, through all middleware, and out again."""

    _middleware: Sequence[DeferMiddleware]
    _entered: list[tuple[DeferMiddleware, Passage]] = attrs.field(
        init=False, factory=list[tuple[DeferMiddleware, Passage]]
    )

    def enter(self, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        """Return the jobs to store, after all middleware has had its way with them."""
        for middleware in self._middleware:
            passage = middleware(list(jobs))
            self._entered.append((middleware, passage))
            try:
                given = next(passage)
            except StopIteration:
                raise _broken(middleware, "ended without `yield jobs`, so that nothing would be stored") from None
            jobs = _as_many(middleware, given, len(jobs))
        return jobs

    def leave(self, deferred: list[Deferred]) -> list[Deferred]:
        """Tell the middleware, the innermost first, what became of the jobs."""
        while self._entered:
            middleware, passage = self._entered.pop()
            try:
                passage.send(list(deferred))
            except StopIteration:
                continue
            passage.close()
            raise _broken(middleware, "yields more than once; the jobs are stored")
        return deferred

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Tell the middleware of an error, the innermost first. It stays an error, whatever they do."""
        current = error
        while current is not None and self._entered:
            _, passage = self._entered.pop()
            try:
                passage.throw(current)
            except StopIteration:
                continue
            except BaseException as raised:  # noqa: BLE001 - the next one out is told of it, and so is the caller
                current = raised
            else:
                passage.close()
        if current is not None and current is not error:
            raise current


def _as_many(middleware: DeferMiddleware, given: object, count: int) -> list[NewJob]:
    jobs = several("jobs", given, "a list of jobs") if given is not None else ()
    if len(jobs) != count or not all(isinstance(job, NewJob) for job in jobs):
        raise _broken(middleware, f"was given {count} jobs and yielded {shown(given)}; it must yield as many jobs")
    return list(jobs)


def _broken(middleware: DeferMiddleware, what: str) -> InvalidOption:
    name = getattr(middleware, "__qualname__", type(middleware).__qualname__)
    return InvalidOption(f"defer middleware {name} {what}")
