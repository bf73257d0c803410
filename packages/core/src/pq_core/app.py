"""The app: tasks, and the connector that keeps their jobs."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

import attrs

from pq_core.answers import Deferred, SchemaStatus
from pq_core.blueprint import Blueprint
from pq_core.connector import Connector, has_transactions
from pq_core.defer_middleware import DeferMiddleware, check_defer_middleware, surround_defer
from pq_core.deferrer import (
    DeferOptions,
    Deferrer,
    defer_many,
    defer_many_async,
    ids_of,
    stream_jobs,
    stream_jobs_async,
)
from pq_core.errors import AppNotFound, InvalidOption, shown
from pq_core.events import Event, Hooks, check_kind
from pq_core.given import several
from pq_core.health import Health
from pq_core.import_path import import_modules, load
from pq_core.job import NewJob, check_name
from pq_core.job_admin import JobAdmin
from pq_core.lifespan import Lifespan, check_lifespan
from pq_core.middleware import Middleware, check_common_middleware
from pq_core.registry import TaskRegistry
from pq_core.schedule_admin import ScheduleAdmin
from pq_core.streaming import StoresJobs
from pq_core.task import Task
from pq_core.worker_info import WorkerStatus

if TYPE_CHECKING:  # The worker costs anyio, which an app that only defers does not need.
    from pq_core.worker import Worker, WorkerOptions

C = TypeVar("C", bound=Connector)
E = TypeVar("E", bound=Event)
R = TypeVar("R")


def _no_options() -> WorkerOptions:
    return {}


@attrs.define(kw_only=True, eq=False)
class App(Blueprint):
    """Tasks, and the connector that keeps their jobs.

    .. versionadded:: 0.1

    Attributes:
        connector: where jobs are kept.
        import_paths: modules that define tasks of this app; imported when the tasks are first looked up, so that they
            may import the app.
        worker_defaults: options for :meth:`run_worker`, if they are not given there.
        middleware: around each run of each task of its kind, sync or async; the first one outermost.
        defer_middleware: around each call that stores jobs: generator functions that are given the jobs, yield those to
            store, and are sent what became of each; the first one outermost.
        worker_lifespan: what surrounds the life of each worker: a function of the :class:`Worker` that returns a
            context manager, async or sync. It is entered before the first job is claimed, and left after the last
            outcome is written; jobs find what it gives as ``context.state``.
        jobs: to look at stored jobs and to change them.
        schedules: to look at schedules, and to make and change them at run time.

    Raises:
        InvalidOption: a value that the option cannot have; or the module that makes the app runs a second time, as
            ``__main__`` and under its own name.
    """

    connector: Connector
    import_paths: Sequence[str] = ()
    worker_defaults: WorkerOptions = attrs.field(factory=_no_options, repr=False)
    middleware: Sequence[Middleware] = attrs.field(default=(), repr=False)
    defer_middleware: Sequence[DeferMiddleware] = attrs.field(default=(), repr=False)
    worker_lifespan: Lifespan | None = attrs.field(default=None, repr=False)
    hooks: Hooks = attrs.field(init=False, factory=Hooks, repr=False)
    jobs: JobAdmin = attrs.field(init=False, repr=False)
    schedules: ScheduleAdmin = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        _check_connector(self.connector)
        check_common_middleware(self.middleware)
        check_defer_middleware(self.defer_middleware)
        check_lifespan(self.worker_lifespan)
        for path in several("import_paths", self.import_paths, "a list of names of modules"):
            if not isinstance(path, str) or not path:
                raise InvalidOption(f"import_paths holds {shown(path)}, which does not name a module")
        if not isinstance(self.worker_defaults, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - users need no type checker
            raise InvalidOption(f"worker_defaults {shown(self.worker_defaults)} is not a dict of options")
        self.jobs = JobAdmin(lambda: self.connector)
        self.schedules = ScheduleAdmin(lambda: self.connector)

    @classmethod
    def from_path(cls, path: str) -> App:
        """Return the app that ``package.module:app`` or ``package.module.app`` names.

        Raises:
            AppNotFound: the path does not lead to an App; an error in the module is the cause.
            InvalidOption: the module is the program that runs.
        """
        found = load(path)
        if not isinstance(found, App):
            raise AppNotFound(f"{path!r} is a {type(found).__qualname__}, not an App")
        return found

    @property
    def tasks(self) -> TaskRegistry:
        """All tasks by name; importing `import_paths` first.

        Raises:
            InvalidOption: one of `import_paths` is no module, or the program that runs.
        """
        self.perform_import_paths()
        return self._registry

    def perform_import_paths(self) -> None:
        """Import the modules of `import_paths`. To do it again does nothing.

        Raises:
            InvalidOption: one is no module, or the program that runs.
        """
        import_modules(self.import_paths)

    def configure_task(
        self, name: str, *, allow_unknown: bool = True, **options: Unpack[DeferOptions]
    ) -> Deferrer[...]:
        """Return what defers jobs of the task of that name, which may be defined in another code base.

        Args:
            name: the task's name or alias.
            allow_unknown: whether this app need not know the task. Then its arguments, given by keyword, are not
                checked against its signature, and its options are those given here, not the task's own.
            options: see :class:`DeferOptions`.

        Raises:
            TaskNotFound: this app does not know the task, and `allow_unknown` is false.
            InvalidJob: a value that no job may have.
            InvalidOption: there is no such option.
        """
        name = check_name("task", name)
        tasks = self.tasks
        known: Deferrer[...] = (
            Deferrer(self, NewJob(task=name)) if allow_unknown and name not in tasks else tasks[name].deferrer
        )
        return known.configure(**options)

    @overload
    def defer_many(
        self, jobs: Iterable[NewJob], *, connection: Any = None, results: Literal[False] = False
    ) -> list[int]: ...
    @overload
    def defer_many(
        self, jobs: Iterable[NewJob], *, connection: Any = None, results: Literal[True]
    ) -> list[Deferred]: ...
    def defer_many(
        self, jobs: Iterable[NewJob], *, connection: Any = None, results: bool = False
    ) -> list[int] | list[Deferred]:
        """Store jobs of any tasks, all or none, and return their ids in the same order.

        Args:
            jobs: as ``task.job(...)`` makes them.
            connection: a connection of yours, in whose transaction the jobs are stored.
            results: whether to return instead what became of each, as a :class:`Deferred`: its id and whether it is
                new; with unique keys it may have given way to one that was there.

        Raises:
            AlreadyDeferred: a unique key is taken, and the job is not to give way; `index` says whose.
            InvalidJob: what JSON cannot carry; `index` says whose.
        """
        deferred = defer_many(self._store, jobs, connection)
        return deferred if results else ids_of(deferred)

    @overload
    async def defer_many_async(
        self, jobs: Iterable[NewJob], *, connection: Any = None, results: Literal[False] = False
    ) -> list[int]: ...
    @overload
    async def defer_many_async(
        self, jobs: Iterable[NewJob], *, connection: Any = None, results: Literal[True]
    ) -> list[Deferred]: ...
    async def defer_many_async(
        self, jobs: Iterable[NewJob], *, connection: Any = None, results: bool = False
    ) -> list[int] | list[Deferred]:
        """Do what :meth:`defer_many` does."""
        deferred = await defer_many_async(self._store, jobs, connection)
        return deferred if results else ids_of(deferred)

    def defer_stream(
        self,
        jobs: Iterable[NewJob],
        *,
        connection: Any = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> int:
        """Store jobs of any tasks, all or none, however many these are: few of them are held at a time.

        All are stored in one transaction, in batches, and nobody sees one before the last is there. A list of a million
        ids would not be few; so what is returned is a number.

        Args:
            jobs: as ``task.job(...)`` makes them; a generator, say, of which an exception leaves nothing stored.
            connection: a connection of yours, in whose transaction the jobs are stored. What was stored there before
                an error is undone as you roll that back.
            on_progress: is called after each batch, with how many jobs have been sent so far. What it raises leaves
                nothing stored.

        Returns:
            how many jobs are new; with unique keys, some may have given way to one that was there.

        Raises:
            AlreadyDeferred: a unique key is taken, and the job is not to give way; `index` says whose.
            InvalidJob: what JSON cannot carry; `index` says whose.
            StoreBusy: others who store jobs of the same unique keys were in the way; nothing is stored.

        .. versionadded:: 0.1
        """
        return stream_jobs(self._store, jobs, connection, on_progress)

    async def defer_stream_async(
        self,
        jobs: Iterable[NewJob] | AsyncIterable[NewJob],
        *,
        connection: Any = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> int:
        """Do what :meth:`defer_stream` does; the jobs may come from an async iterable, too."""
        return await stream_jobs_async(self._store, jobs, connection, on_progress)

    def on(self, *events: type[E]) -> Callable[[Callable[[E], R]], Callable[[E], R]]:
        """Tell a function of events of these kinds, in this process; used as a decorator.

        It is called in the event loop of the worker, one event after the other, and must not wait. What it raises is
        logged, and changes nothing.

        Args:
            events: classes of :mod:`pq_core.events`; one stands for those below it, too.

        Raises:
            InvalidOption: one is no event, there is none, or the function cannot be told of events: it is async.
        """
        if not events:
            raise InvalidOption("app.on() names no event; write for example @app.on(pq_core.events.JobFailed)")

        for kind in events:
            check_kind(kind)

        def listen(function: Callable[[E], R]) -> Callable[[E], R]:
            self.hooks.add(events, function)
            return function

        return listen

    @contextmanager
    def replace_connector(self, connector: C) -> Generator[C]:
        """Keep jobs elsewhere for a while: in this app itself, so in all threads. Opens and closes no connector."""
        _check_connector(connector)
        _check_transactions(connector, self._registry.values())
        before, self.connector = self.connector, connector
        try:
            yield connector
        finally:
            self.connector = before

    def open(self) -> Self:
        """Open the connector for sync use; as a context manager, close it at the end."""
        self.connector.sync.open()
        return self

    def close(self) -> None:
        """Close what :meth:`open` opened."""
        self.connector.sync.close()

    def open_async(self) -> AsyncOpening:
        """Open the connector, if awaited; if entered by ``async with``, also close it at the end."""
        return AsyncOpening(self)

    async def close_async(self) -> None:
        """Close what :meth:`open_async` opened."""
        await self.connector.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self.open_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close_async()

    def migrate(self) -> list[str]:
        """Install pq in the database, or bring it up to date; return the names of what was applied."""
        return self.connector.sync.migrate()

    async def migrate_async(self) -> list[str]:
        """Do what :meth:`migrate` does."""
        return await self.connector.migrate()

    def check(self) -> SchemaStatus:
        """Say what is installed in the database.

        Raises:
            ConnectionFailed: the database does not answer.
            SchemaMissing: pq is not installed there.
            SchemaTooNew: a later version of pq has migrated it.
        """
        return self.connector.sync.check()

    async def check_async(self) -> SchemaStatus:
        """Do what :meth:`check` does."""
        return await self.connector.check()

    def workers(self) -> list[WorkerStatus]:
        """Return all workers that are known, those first that have been there for longest.

        A worker that was lost is there until others give its jobs back, at most some seconds after its lease.
        """
        return self.connector.sync.workers()

    async def workers_async(self) -> list[WorkerStatus]:
        """Do what :meth:`workers` does."""
        return await self.connector.workers()

    def health(self) -> Health:
        """Say how queues, workers and tables are; `findings` of it are what somebody should look into."""
        return self.connector.sync.health()

    async def health_async(self) -> Health:
        """Do what :meth:`health` does."""
        return await self.connector.health()

    def run_worker(self, **options: Unpack[WorkerOptions]) -> None:
        """Run jobs until told to stop, with the options of :class:`Worker`, else those of `worker_defaults`."""
        self._worker(options).run()

    async def run_worker_async(self, **options: Unpack[WorkerOptions]) -> None:
        """Do what :meth:`run_worker` does."""
        await self._worker(options).run_async()

    def _worker(self, options: WorkerOptions) -> Worker:
        from pq_core.worker import Worker

        merged: WorkerOptions = {**self.worker_defaults, **options}
        return Worker(self, **merged)

    def _additions(self, tasks: list[Task[..., Any]]) -> Iterator[tuple[TaskRegistry, list[Task[..., Any]]]]:
        _check_transactions(self.connector, tasks)
        yield from super()._additions(tasks)

    def locate(self, task: str) -> tuple[str, StoresJobs]:
        """Return the name as it is, and what stores the jobs of this app."""
        return task, self._store

    def _places(self, task: str) -> Iterator[tuple[str, StoresJobs]]:
        yield self.locate(task)

    @property
    def _store(self) -> StoresJobs:
        return surround_defer(self.connector, self.defer_middleware)


@attrs.frozen
class AsyncOpening:
    """An app about to be opened: to await, or to enter."""

    _app: App

    def __await__(self) -> Generator[Any, None, App]:
        return self._open().__await__()

    async def __aenter__(self) -> App:
        return await self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._app.close_async()

    async def _open(self) -> App:
        await self._app.connector.open()
        return self._app


def _check_connector(given: object) -> None:
    if isinstance(given, type) or not hasattr(given, "defer") or not hasattr(given, "sync"):
        raise InvalidOption(f"connector {shown(given)} is none; make one, such as PsycopgConnector('dbname=mine')")


def _check_transactions(connector: Connector, tasks: Iterable[Task[..., Any]]) -> None:
    """Refuse tasks that are to run in transactions where there can be none.

    Raises:
        InvalidOption: there is such a task, and the connector lends no transactions.
    """
    if has_transactions(connector):
        return
    for task in tasks:
        if task.delivery == "transactional":
            raise InvalidOption(
                f"task {task.name!r} has the delivery 'transactional', and a {type(connector).__qualname__} has no "
                "transactions to run it in; PsycopgConnector and InMemoryConnector have"
            )
