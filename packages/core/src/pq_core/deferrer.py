"""A task with the options of its next jobs: what `task.configure(...)` gives, and what `task.defer(...)` stands on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence, Sized
from datetime import datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any, Generic, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, cast

import attrs

from pq_core.answers import Deferred
from pq_core.binding import Binding
from pq_core.defer_middleware import streams_alone
from pq_core.delays import Delay, as_timedelta
from pq_core.errors import InvalidArguments, InvalidJob, InvalidOption, shown
from pq_core.job import LockMode, NewJob, check_moment, filled_in
from pq_core.streaming import LONG, StoresJobs, StoresJobsSync, Tally, read_through, stream, stream_async
from pq_core.unique import Unique, as_unique, check_unique

P = ParamSpec("P")
T = TypeVar("T")


class Home(Protocol):
    """Where tasks are registered: an app, or a blueprint that an app includes."""

    def locate(self, task: str) -> tuple[str, StoresJobs]:
        """Return the name under which an app knows the task, and what stores jobs of that app."""
        ...


class DeferOptions(TypedDict, total=False):
    """What `configure(...)` takes; what is not given stays as the task has it.

    .. versionadded:: 0.1
    """

    queue: str
    priority: int
    """Higher runs first; from -32,768 to 32,767."""
    lock: str | None
    """None switches off the task's own lock."""
    lock_mode: LockMode
    schedule_at: datetime | None
    """Not before this moment; aware. Excludes `schedule_in`."""
    schedule_in: Delay | timedelta | None
    """Not before this much time has passed, by the clock of the database."""
    connection: Any
    """A connection of yours, in whose transaction the job is stored."""
    metadata: Mapping[str, Any]
    """Kept with the job, not passed to the task; any dict that JSON carries."""
    unique: Unique | str | bool | None
    """Of the jobs of this key there is one at a time: see :class:`Unique`. A text is the key; True means all arguments;
    None or False switches off what the task has."""
    queueing_lock: str | None
    """Of the jobs of this key one waits at a time: the same as ``unique=Unique(key=...)``, which it excludes."""
    expires_at: datetime | None
    """A job that is not started by then is cancelled; aware. Excludes `expires_in`."""
    expires_in: Delay | timedelta | None
    """Likewise, counted from when the job is deferred; None switches off what the task has."""
    version: int
    """Of the arguments, where only the name of the task is known; else the task says it."""


@attrs.frozen(eq=False)
class Deferrer(Generic[P]):
    """Defers jobs of one task, all with the same options.

    .. versionadded:: 0.1
    """

    home: Home = attrs.field(repr=False)
    template: NewJob
    binding: Binding | None = attrs.field(default=None, repr=False)
    """None if only the name of the task is known: then its arguments are not checked."""
    connection: Any = attrs.field(default=None, repr=False)
    unique: Unique | None = None
    _models: dict[str, NewJob] = attrs.field(init=False, repr=False, factory=dict[str, NewJob])

    def configure(self, **options: Unpack[DeferOptions]) -> Deferrer[P]:
        """Return a Deferrer with these options changed.

        Raises:
            InvalidJob: a value that no job may have.
            InvalidOption: there is no such option, or two exclude each other.
        """
        refuse_unknown("configure", options, DeferOptions)
        if "version" in options and self.binding is not None:
            raise InvalidOption(
                f"version {shown(options['version'])} of task {self.template.task!r}: that of its arguments is "
                f"{self.template.version}, as the task says; to give others, defer by its name where it is not defined"
            )
        template = attrs.evolve(self.template, **_fields(options))
        check_time_to_start(template)
        connection, unique = options.get("connection", self.connection), self.unique
        if "unique" in options or "queueing_lock" in options:
            unique = as_unique(options.get("unique"), options.get("queueing_lock"))
            check_unique(unique, template.task, None if self.binding is None else self.binding.stored_names)
        return Deferrer(self.home, template, self.binding, connection, unique)

    def job(self, /, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return the job without storing it, for `app.defer_many`.

        Raises:
            InvalidArguments: the arguments do not fit the task's signature.
        """
        name, _ = self.home.locate(self.template.task)
        return self._job(name, args, kwargs)

    def defer(self, /, *args: P.args, **kwargs: P.kwargs) -> int:
        """Store a job and return its id; that of the job that has the unique key, if this one gives way to it.

        Raises:
            AlreadyDeferred: the unique key is taken, and the job is not to give way.
            InvalidArguments: the arguments do not fit the task's signature, or JSON cannot carry them.
        """
        name, connector = self.home.locate(self.template.task)
        return connector.sync.defer([self._job(name, args, kwargs)], connection=self.connection)[0].id

    async def defer_async(self, /, *args: P.args, **kwargs: P.kwargs) -> int:
        """Do what :meth:`defer` does."""
        name, connector = self.home.locate(self.template.task)
        return (await connector.defer([self._job(name, args, kwargs)], connection=self.connection))[0].id

    def batch_defer(self, arguments: Iterable[Mapping[str, Any]]) -> list[int]:
        """Store a job for each dict of arguments, all or none, and return their ids in the same order.

        Raises:
            AlreadyDeferred: a unique key is taken, and the job is not to give way; `index` says whose.
            InvalidArguments: arguments do not fit, or JSON cannot carry them; `index` says whose.
        """
        name, connector = self.home.locate(self.template.task)
        if self._is_long(arguments, connector.sync):
            return long_list(connector.sync, self._each(name, arguments))
        return ids_of(defer_many(connector, [*self._each(name, arguments)], self.connection))

    async def batch_defer_async(self, arguments: Iterable[Mapping[str, Any]]) -> list[int]:
        """Do what :meth:`batch_defer` does."""
        name, connector = self.home.locate(self.template.task)
        if self._is_long(arguments, connector):
            return await long_list_async(connector, self._each(name, arguments))
        return ids_of(await defer_many_async(connector, [*self._each(name, arguments)], self.connection))

    def defer_stream(
        self, arguments: Iterable[Mapping[str, Any]], *, on_progress: Callable[[int], object] | None = None
    ) -> int:
        """Store a job for each dict of arguments, all or none, however many these are: see :meth:`App.defer_stream`."""
        name, connector = self.home.locate(self.template.task)
        return stream_jobs(connector, self._each(name, arguments), self.connection, on_progress)

    async def defer_stream_async(
        self,
        arguments: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        on_progress: Callable[[int], object] | None = None,
    ) -> int:
        """Do what :meth:`defer_stream` does; the arguments may come from an async iterable, too."""
        name, connector = self.home.locate(self.template.task)
        jobs = (
            self._each_async(name, arguments) if isinstance(arguments, AsyncIterable) else self._each(name, arguments)
        )
        return await stream_jobs_async(connector, jobs, self.connection, on_progress)

    def _is_long(self, arguments: object, store: object) -> bool:
        """Whether to send jobs with these arguments in batches, as :func:`_is_long` says of jobs."""
        return (
            isinstance(arguments, Sized)
            and len(arguments) >= LONG
            and self.connection is None
            and self.unique is None
            and streams_alone(store)
        )

    def _each(self, name: str, arguments: Iterable[Mapping[str, Any]]) -> Iterator[NewJob]:
        for index, kwargs in enumerate(_several("args", arguments, "a list of dicts, one for each job")):
            try:
                job = self._job(name, (), _checked(kwargs))
            except InvalidJob as reason:
                raise reason.at(index) from None
            yield job

    async def _each_async(self, name: str, arguments: AsyncIterable[Mapping[str, Any]]) -> AsyncGenerator[NewJob]:
        index = 0
        async with read_through(arguments) as rest:
            async for kwargs in rest:
                try:
                    job = self._job(name, (), _checked(kwargs))
                except InvalidJob as reason:
                    raise reason.at(index) from None
                yield job
                index += 1

    def _job(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> NewJob:
        if self.binding is not None:
            given = self.binding.bind(args, kwargs)
        elif args:
            raise InvalidArguments(
                f"task {name!r} is known by its name only: give its arguments by keyword", field="args", value=args
            )
        else:
            given = dict(kwargs)
        model = self._models.get(name) or self._model(name)
        key = None if self.unique is None else self.unique.key_for(name, model.queue, given)
        return filled_in(model, given, key)

    def _model(self, name: str) -> NewJob:
        """Return what the jobs are like under this name of the task, and keep it."""
        model = attrs.evolve(self.template, task=name)
        if self.unique is not None:
            model = attrs.evolve(model, unique_key="its own", **self.unique.fields)
        self._models[name] = model
        return model


def ids_of(deferred: Iterable[Deferred]) -> list[int]:
    """Return the ids alone."""
    return [each.id for each in deferred]


def long_list(store: StoresJobsSync, jobs: Iterable[NewJob]) -> list[int]:
    """Store many jobs while they are made; return their ids."""
    ids: list[int] = []
    stream(store, jobs, lambda answers: ids.extend(ids_of(answers)))
    return ids


async def long_list_async(store: StoresJobs, jobs: Iterable[NewJob]) -> list[int]:
    """Do what :func:`long_list` does."""
    ids: list[int] = []
    await stream_async(store, jobs, lambda answers: ids.extend(ids_of(answers)))
    return ids


def stream_jobs(
    connector: StoresJobs, jobs: Iterable[NewJob], connection: Any, on_progress: Callable[[int], object] | None
) -> int:
    """Store jobs, all or none; return how many are new."""
    tally = Tally(_checked_progress(on_progress))
    stream(connector.sync, _checked_jobs(jobs), tally, connection)
    return tally.new


async def stream_jobs_async(
    connector: StoresJobs,
    jobs: Iterable[NewJob] | AsyncIterable[NewJob],
    connection: Any,
    on_progress: Callable[[int], object] | None,
) -> int:
    """Do what :func:`stream_jobs` does."""
    tally = Tally(_checked_progress(on_progress))
    checked = _checked_jobs_async(jobs) if isinstance(jobs, AsyncIterable) else _checked_jobs(jobs)
    await stream_async(connector, checked, tally, connection)
    return tally.new


def defer_many(connector: StoresJobs, jobs: Iterable[NewJob], connection: Any) -> list[Deferred]:
    """Store jobs, all or none; say what became of each. An error names the index, of an only job too."""
    stored = _only_jobs(jobs)
    answers: list[Deferred] = []
    if connection is None and _is_long(stored) and streams_alone(connector.sync):
        stream(connector.sync, stored, answers.extend)
        return answers
    try:
        return connector.sync.defer(stored, connection=connection)
    except InvalidJob as reason:
        raise (reason if reason.index is not None else reason.at(0)) from reason.__cause__


async def defer_many_async(connector: StoresJobs, jobs: Iterable[NewJob], connection: Any) -> list[Deferred]:
    """Do what :func:`defer_many` does."""
    stored = _only_jobs(jobs)
    answers: list[Deferred] = []
    if connection is None and _is_long(stored) and streams_alone(connector):
        await stream_async(connector, stored, answers.extend)
        return answers
    try:
        return await connector.defer(stored, connection=connection)
    except InvalidJob as reason:
        raise (reason if reason.index is not None else reason.at(0)) from reason.__cause__


def _is_long(jobs: Sequence[NewJob]) -> bool:
    """Whether to send these in batches; unique ones go at once, so that all insert in the order of keys."""
    return len(jobs) >= LONG and all(job.unique_key is None for job in jobs)


def refuse_unknown(what: str, options: Mapping[str, Any], known: type) -> None:
    """Refuse options that `known`, a TypedDict, does not list.

    Raises:
        InvalidOption: there is one; the message lists what there is.
    """
    unknown = sorted(options.keys() - known.__annotations__.keys())
    if unknown:
        names = ", ".join(sorted(known.__annotations__))
        raise InvalidOption(f"{what} has no option {unknown[0]!r}; its options are {names}")


def _fields(options: DeferOptions) -> dict[str, Any]:
    """Return what the options mean as fields of a NewJob; a time replaces the one set before, whichever kind it was."""
    fields: dict[str, Any] = {name: value for name, value in options.items() if name in _ALIKE}
    fields.update(time_fields(options.get("schedule_at"), options.get("schedule_in")))
    if "schedule_at" in options or "schedule_in" in options:
        fields = {"scheduled_at": None, "delay": None, **fields}
    if "expires_at" in options or "expires_in" in options:
        given = options.get("expires_in")
        length = None if given is None else as_timedelta(given, "expires_in")
        fields |= {"expires_at": options.get("expires_at"), "expires_in": length}
    return fields


def check_time_to_start(job: NewJob) -> None:
    """Refuse a job that would have expired when it is due: nobody means that.

    Raises:
        InvalidJob: it is such a one.
    """
    if job.expires_in is not None and job.expires_in <= (job.delay or timedelta(0)):
        due = "" if not job.delay else f" after schedule_in {shown(job.delay)}"
        raise InvalidJob(
            f"expires_in {shown(job.expires_in)} leaves no time to start{due}; give more, or None for any",
            field="expires_in",
            value=job.expires_in,
        )
    if job.expires_at is not None and job.scheduled_at is not None and job.expires_at <= job.scheduled_at:
        raise InvalidJob(
            f"expires_at {shown(job.expires_at)} leaves no time to start after schedule_at {shown(job.scheduled_at)}; "
            "give a later one, or None for any",
            field="expires_at",
            value=job.expires_at,
        )


_ALIKE = frozenset({"queue", "priority", "lock", "lock_mode", "metadata", "version"})


def time_fields(schedule_at: datetime | None, schedule_in: Delay | timedelta | None) -> dict[str, Any]:
    """Return ``scheduled_at`` or ``delay``, or neither.

    Raises:
        InvalidJob: both are given, the moment is naive, or the wait is negative.
    """
    if schedule_at is not None and schedule_in is not None:
        both = f"schedule_at {shown(schedule_at)} and schedule_in {shown(schedule_in)}"
        raise InvalidJob(
            f"{both} exclude each other; give one of them",
            field="schedule_in",
            value=schedule_in,
        )
    if schedule_at is not None:
        check_moment("schedule_at", schedule_at)
        return {"scheduled_at": schedule_at}
    if schedule_in is not None:
        return {"delay": as_timedelta(schedule_in)}
    return {}


_TEXTS = frozenset({str})
_ONE: Any = (str, bytes, Mapping, NewJob)
"""What is one thing, though it may be iterable."""


def _several(field: str, given: Iterable[T], wanted: str) -> Iterable[T]:
    if isinstance(given, _ONE) or not hasattr(given, "__iter__"):
        raise InvalidJob(f"{field} {shown(given)} is not {wanted}", field=field, value=given)
    return given


def _checked(kwargs: object) -> Mapping[str, Any]:
    named = cast("Mapping[str, Any]", kwargs)
    if (type(kwargs) is dict or isinstance(kwargs, Mapping)) and _TEXTS.issuperset(map(type, named)):
        return named
    raise InvalidArguments(f"{shown(named)} is not a dict of arguments by name", field="args", value=named)


def _only_jobs(jobs: Iterable[NewJob]) -> list[NewJob]:
    return [*_checked_jobs(jobs)]


def _checked_jobs(jobs: Iterable[NewJob]) -> Iterator[NewJob]:
    for index, job in enumerate(_several("jobs", jobs, "a list of jobs; make them with task.job(...)")):
        yield _checked_job(index, job)


async def _checked_jobs_async(jobs: AsyncIterable[NewJob]) -> AsyncGenerator[NewJob]:
    index = 0
    async with read_through(jobs) as rest:
        async for job in rest:
            yield _checked_job(index, job)
            index += 1


def _checked_job(index: int, job: object) -> NewJob:
    if not isinstance(job, NewJob):
        raise InvalidJob(
            f"job {index} of the batch is {shown(job)}, not a NewJob; make one with task.job(...)",
            value=job,
            index=index,
        )
    return job


def _checked_progress(given: Any) -> Callable[[int], object] | None:
    if given is not None and (not callable(given) or iscoroutinefunction(given)):
        raise InvalidOption(f"on_progress {shown(given)} is no function that can be called with a number: write `def`")
    return cast("Callable[[int], object] | None", given)
