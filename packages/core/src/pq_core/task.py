"""A function that jobs run, and how its jobs are deferred."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, cast

import attrs

from pq_core.binding import Binding, binding_of
from pq_core.context import JobContext, Keep, RunsIn
from pq_core.deferrer import DeferOptions, Deferrer, Home, check_time_to_start, refuse_unknown
from pq_core.delays import Delay, as_limit, as_timedelta
from pq_core.errors import InvalidOption, shown
from pq_core.given import as_option, several
from pq_core.job import MAX_LOSSES, Delivery, LockMode, NewJob, check_name, overwrite
from pq_core.main_module import importable_name
from pq_core.middleware import Middleware, check_middleware
from pq_core.periodic import Periodic
from pq_core.retry import BaseRetryStrategy, strategy
from pq_core.unique import Unique, as_unique, check_unique
from pq_core.upcasting import Upcaster, Upcasters, check_upcasters

P = ParamSpec("P")
R = TypeVar("R")


class TaskOptions(TypedDict, total=False):
    """What `app.task(...)` takes, besides `pass_context`.

    .. versionadded:: 0.1
    """

    name: str
    """Under which workers find the task; by default the module's name, a dot, and the function's qualified name."""
    aliases: Iterable[str]
    """Former names: jobs deferred under these still run."""
    queue: str
    priority: int
    """Higher runs first; from -32,768 to 32,767."""
    lock: str | None
    lock_mode: LockMode
    retry: bool | int | BaseRetryStrategy | None
    """How many runs in all, True for without end, or a strategy."""
    middleware: Iterable[Middleware]
    """Around each run, the first one outermost; async for an async task, else sync."""
    keep: Keep | None
    """Which ended jobs stay stored; None leaves it to the worker."""
    max_losses: int
    """How many workers may die under a job; with the last of them it ends as failed. One, if it runs at most once."""
    delivery: Delivery
    """What the death of its worker means for a job: see :data:`Delivery`."""
    timeout: float | timedelta | Delay | None
    """How long a run may take: seconds, a timedelta, or a dict such as ``{"minutes": 5}``; None: as long as it likes.
    An async task is cancelled then, a sync one only told, by `context.should_stop()`: a thread cannot be stopped."""
    store_result: bool
    """Whether what the task returns is stored with the job."""
    version: int
    """Of the task's arguments, from 1: to be raised when their meaning changes. Jobs of a higher one are not run."""
    upcast: Mapping[int, Upcaster]
    """Functions by version, each of which makes arguments of that version those of the next: of a dict, to a dict."""
    unique: Unique | str | bool | None
    """Of the jobs of one key there is one at a time: see :class:`Unique`. A text is the key; True: all arguments."""
    queueing_lock: str | None
    """Of the jobs of this key one waits at a time: the same as ``unique=Unique(key=...)``, which it excludes."""
    expires_in: Delay | timedelta | None
    """A job that is not started so long after it was deferred is cancelled."""
    executor: RunsIn | None
    """Where a sync task runs; None: in a thread of the worker."""


def _no_upcasters() -> Upcasters:
    return {}


def _is_keep(value: object) -> bool:
    return value is None or (isinstance(value, str) and value in {"all", "failed", "none"})


def _is_async(task: Task[..., Any]) -> bool:
    return gives_coroutine(task.func)


def _bound(task: Task[..., Any]) -> Binding:
    return binding_of(task.name, task.func, pass_context=task.pass_context)


def _plain(task: Task[P, Any]) -> Deferrer[P]:
    template = NewJob(
        task=task.name,
        queue=task.queue,
        priority=task.priority,
        lock=task.lock,
        lock_mode=task.lock_mode,
        max_losses=task.max_losses,
        delivery=task.delivery,
        version=task.version,
        expires_in=task.expires_in,
    )
    return Deferrer(task.home, template, task.binding, unique=task.unique)


@attrs.frozen(kw_only=True, eq=False, slots=False)
class Task(Generic[P, R]):
    """A registered function. Calling it just calls the function.

    .. versionadded:: 0.1
    """

    func: Callable[..., R] = attrs.field(repr=False)
    name: str
    home: Home = attrs.field(repr=False)
    pass_context: bool = False
    aliases: tuple[str, ...] = ()
    queue: str = "default"
    priority: int = 0
    lock: str | None = None
    lock_mode: LockMode = "ordered"
    retry: BaseRetryStrategy | None = None
    middleware: tuple[Middleware, ...] = ()
    keep: Keep | None = None
    max_losses: int = MAX_LOSSES
    delivery: Delivery = "at_least_once"
    timeout: timedelta | None = None
    store_result: bool = True
    version: int = 1
    upcast: Upcasters = attrs.field(factory=_no_upcasters, repr=False)
    unique: Unique | None = None
    expires_in: timedelta | None = None
    executor: RunsIn | None = None
    periodics: list[Periodic] = attrs.field(factory=list[Periodic], repr=False)
    is_async: bool = attrs.field(init=False, default=attrs.Factory(_is_async, takes_self=True))
    binding: Binding = attrs.field(init=False, repr=False, default=attrs.Factory(_bound, takes_self=True))
    deferrer: Deferrer[P] = attrs.field(init=False, repr=False, default=attrs.Factory(_plain, takes_self=True))

    def __attrs_post_init__(self) -> None:
        if inspect.isgeneratorfunction(self.func) or inspect.isasyncgenfunction(self.func):
            raise InvalidOption(f"task {self.name!r} is a generator, which would not run when called; return a list")
        if not _is_keep(self.keep):
            raise InvalidOption(
                f"task {self.name!r}: keep {shown(self.keep)} is none of 'all', 'failed', 'none' and None"
            )
        if not isinstance(self.store_result, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - users need no type checker
            raise InvalidOption(
                f"task {self.name!r}: store_result {shown(self.store_result)} is neither True nor False"
            )
        if self.executor not in (None, "process"):
            raise InvalidOption(f"task {self.name!r}: executor {shown(self.executor)} is neither 'process' nor None")
        if self.executor is not None and self.is_async:
            raise InvalidOption(
                f"task {self.name!r} is async, and executor='process' is for sync tasks; write it with `def`, or leave "
                "the executor out"
            )
        overwrite(self, aliases=tuple(check_name("alias", alias) for alias in self.aliases))
        plain = self.deferrer.template
        check_time_to_start(plain)
        overwrite(self, name=plain.task, queue=plain.queue, lock=plain.lock, lock_mode=plain.lock_mode)
        overwrite(self, priority=plain.priority, max_losses=plain.max_losses, delivery=plain.delivery)
        if self.delivery == "at_most_once" and self.retry is not None:
            raise InvalidOption(
                f"task {self.name!r}: delivery 'at_most_once' means that a job never runs again, retry that it may; "
                "leave out one of them"
            )
        if self.executor is not None and self.delivery == "transactional":
            raise InvalidOption(
                f"task {self.name!r}: delivery 'transactional' needs the connection of the worker, which a process of "
                "its own cannot have; leave out the executor, or the delivery"
            )
        overwrite(self, version=plain.version, upcast=check_upcasters(plain.version, self.upcast, task=self.name))
        check_unique(self.unique, self.name, self.binding.stored_names)
        check_middleware(self.middleware, is_async=self.is_async, task=self.name)
        for name in ("__doc__", "__name__", "__qualname__", "__module__"):
            if hasattr(self.func, name):
                self.__dict__[name] = getattr(self.func, name)
        self.__dict__["__wrapped__"] = self.func

    @property
    def located_name(self) -> str:
        """The name under which the app knows the task: for the task of a blueprint, with the namespace."""
        return self.home.locate(self.name)[0]

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, here and now; no job is made."""
        return self.func(*args, **kwargs)

    def configure(self, **options: Unpack[DeferOptions]) -> Deferrer[P]:
        """Return what defers jobs of this task with other options: those of :class:`DeferOptions`.

        Raises:
            InvalidJob: a value that no job may have.
            InvalidOption: there is no such option.
        """
        return self.deferrer.configure(**options)

    def job(self, /, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return a job without storing it, for `app.defer_many`.

        Raises:
            InvalidArguments: the arguments do not fit the task's signature.
        """
        return self.deferrer.job(*args, **kwargs)

    def defer(self, /, *args: P.args, **kwargs: P.kwargs) -> int:
        """Store a job and return its id; that of the job that has the unique key, if this one gives way to it.

        Raises:
            AlreadyDeferred: the unique key is taken, and the job is not to give way.
            InvalidArguments: the arguments do not fit the task's signature, or JSON cannot carry them.
        """
        return self.deferrer.defer(*args, **kwargs)

    async def defer_async(self, /, *args: P.args, **kwargs: P.kwargs) -> int:
        """Do what :meth:`defer` does."""
        return await self.deferrer.defer_async(*args, **kwargs)

    def batch_defer(self, arguments: Iterable[Mapping[str, Any]]) -> list[int]:
        """Store a job for each dict of arguments, all or none, and return their ids in the same order.

        Raises:
            AlreadyDeferred: a unique key is taken, and the job is not to give way; `index` says whose.
            InvalidArguments: arguments do not fit, or JSON cannot carry them; `index` says whose.
        """
        return self.deferrer.batch_defer(arguments)

    async def batch_defer_async(self, arguments: Iterable[Mapping[str, Any]]) -> list[int]:
        """Do what :meth:`batch_defer` does."""
        return await self.deferrer.batch_defer_async(arguments)

    @property
    def by_keyword(self) -> bool:
        """Whether a job's `args` are the keyword arguments of a call, as they are."""
        return self.binding.by_keyword

    def defer_stream(
        self, arguments: Iterable[Mapping[str, Any]], *, on_progress: Callable[[int], object] | None = None
    ) -> int:
        """Store a job for each dict of arguments, all or none, however many these are: see :meth:`App.defer_stream`."""
        return self.deferrer.defer_stream(arguments, on_progress=on_progress)

    async def defer_stream_async(
        self,
        arguments: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        on_progress: Callable[[int], object] | None = None,
    ) -> int:
        """Do what :meth:`defer_stream` does; the arguments may come from an async iterable, too."""
        return await self.deferrer.defer_stream_async(arguments, on_progress=on_progress)

    def unbind(self, args: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and keyword arguments that a job's `args` mean, without the context.

        Raises:
            InvalidArguments: they do not fit the signature, which may have changed since they were deferred.
        """
        return self.binding.unbind(args)


@attrs.frozen(kw_only=True, eq=False, slots=False)
class ContextTask(Task[P, R]):
    """A task that takes the context of its run first, which is not among the arguments of its jobs.

    .. versionadded:: 0.1
    """

    def __call__(  # type: ignore[override] # a call takes one argument more than its job
        self, context: JobContext, /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call the function, here and now; no job is made."""
        return self.func(context, *args, **kwargs)


def make_task(func: Callable[..., Any], home: Home, *, pass_context: bool, options: TaskOptions) -> Task[..., Any]:
    """Return the task of `func`, its options checked.

    Raises:
        InvalidOption: an option has a value that it cannot have, or the function has no name to be found by.
    """
    refuse_unknown("task", options, TaskOptions)
    if not isinstance(pass_context, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - users need no type checker
        raise InvalidOption(f"pass_context {shown(pass_context)} is neither True nor False")
    given: dict[str, Any] = dict(options)
    name = given.pop("name", None)
    if name is None:
        name = stable_name(func)
    kind = cast("type[Task[..., Any]]", ContextTask if pass_context else Task)
    if given.get("delivery") == "at_most_once" and given.get("max_losses", 1) != 1:
        raise InvalidOption(
            f"task {shown(name)}: delivery 'at_most_once' means that a job ends with its first worker, max_losses "
            f"{shown(given['max_losses'])} that it outlives some; leave it out"
        )
    with as_option(f"task {shown(name)}: "):
        given["unique"] = as_unique(given.get("unique"), given.pop("queueing_lock", None))
        if given.get("expires_in") is not None:
            given["expires_in"] = as_timedelta(given["expires_in"], "expires_in")
        given["retry"] = strategy(given.get("retry"))
        if given.get("timeout") is not None:
            given["timeout"] = as_limit(given["timeout"], "timeout")
        given["aliases"] = several("aliases", given.get("aliases", ()), "a list of names")
        given["middleware"] = several("middleware", given.get("middleware", ()), "a list")
        return kind(func=func, name=name, home=home, pass_context=pass_context, **given)


def stable_name(func: Callable[..., Any]) -> str:
    """Return the name by which another process finds the function again: its module, a dot, its qualified name.

    Raises:
        InvalidOption: it has none: a lambda, a partial, a callable object, or what a decorator without
            `functools.wraps` left of it.
    """
    module, name = getattr(func, "__module__", None), getattr(func, "__qualname__", None)
    if not module or not name:
        raise InvalidOption(f"{shown(func)} has no name: {_WAYS_OUT}")
    if name.endswith("<lambda>"):
        raise InvalidOption(f"{shown(func)} is a lambda, and all lambdas of {module} share that name: {_WAYS_OUT}")
    scope, nested, _ = name.rpartition(".<locals>.")
    if nested and not _is_running(scope, module):
        raise InvalidOption(
            f"{module}.{name} was made by a call of {scope!r}, and the next makes another of that name: {_WAYS_OUT}"
        )
    return f"{importable_name(module)}.{name}"


_WAYS_OUT = "apply functools.wraps in the decorator that hides the function, or pass name=... to the task decorator"


def _is_running(scope: str, module: str) -> bool:
    """Whether a call of `scope` is in progress: so the function is registered where it is defined."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_qualname == scope and frame.f_globals.get("__name__") == module:
            return True
        frame = frame.f_back
    return False


def gives_coroutine(func: Callable[..., Any]) -> bool:
    """Whether a call of `func` gives a coroutine; callable objects count by their ``__call__``."""
    call = getattr(func, "__call__", None)  # noqa: B004 - callable() does not tell of which kind
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(call)
