"""How a test is to be explored, and the decorator that says so."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypedDict, TypeVar, Unpack, overload

import attrs

from pq_core.errors import InvalidOption, shown
from pq_testing.given import check_count

Test = TypeVar("Test", bound=Callable[..., Any])


class ExploreOptions(TypedDict, total=False):
    """The options of :func:`pq_explore`.

    .. versionadded:: 0.1
    """

    workers: int
    """Simulated workers at a time; 2 unless given."""
    crashes: int
    """Workers that may die in one schedule, each at any point at which it has a job; 0 unless given."""
    lapses: int
    """Workers that may stand still, in one schedule, until their lease has run out, and then go on; 0 unless given."""
    max_schedules: int
    """Schedules after which the test passes though there are more; 10,000 unless given."""
    seconds: float | None
    """Real time after which likewise; None: no limit."""
    replay: str | None
    """The one schedule to run, as a failing test has printed it."""


@attrs.frozen(kw_only=True)
class Exploration:
    """How one test is explored: see :class:`ExploreOptions`.

    Raises:
        InvalidOption: a value that an option cannot have.
    """

    workers: int = 2
    crashes: int = 0
    lapses: int = 0
    max_schedules: int = 10_000
    seconds: float | None = None
    replay: str | None = None

    def __attrs_post_init__(self) -> None:
        check_count("workers", self.workers)
        check_count("max_schedules", self.max_schedules)
        counts: list[tuple[str, object]] = [("crashes", self.crashes), ("lapses", self.lapses)]
        for option, count in counts:
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                raise InvalidOption(f"{option} {shown(count)} is not a whole number from 0")
        _check_seconds(self.seconds)
        _check_replay(self.replay)


@overload
def pq_explore(test: Test, /) -> Test: ...
@overload
def pq_explore(**options: Unpack[ExploreOptions]) -> Callable[[Test], Test]: ...
def pq_explore(test: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Run a test once for each order in which its workers could have gone on, and died.

    The test is a sync function that defers jobs, calls `run_jobs()` and asserts what must hold whatever the order. It
    is called many times, on jobs in memory: before each call jobs, clock and the memory of runs are as they were before
    the first. What else the test uses it has to make itself, inside the function, or put back. Workers take turns where
    they ask the store and after each await of an async job; a sync job is one step.

    Every schedule is run, the simple ones first, or as many as the options allow. The first that fails is printed as a
    timeline, with what to write to run it alone.

    Args:
        test: the test, if there are no options.
        **options: see :class:`ExploreOptions`.

    Raises:
        InvalidOption: there is no such option, or not with that value, or the test is async.

    .. versionadded:: 0.1
    """
    if test is not None:
        return _marked(test, Exploration())
    unknown = sorted(options.keys() - ExploreOptions.__annotations__.keys())
    if unknown:
        names = ", ".join(ExploreOptions.__annotations__)
        raise InvalidOption(f"pq_explore has no option {unknown[0]!r}; its options are {names}")
    exploration = Exploration(**options)
    return partial(_marked, exploration=exploration)


def _check_seconds(seconds: object) -> None:
    if seconds is None:
        return
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not seconds > 0:
        raise InvalidOption(f"seconds {shown(seconds)} is not a number above 0; None means no limit")


def _check_replay(replay: object) -> None:
    if replay is not None and not isinstance(replay, str):
        raise InvalidOption(f"replay {shown(replay)} is not a text, as a failing test prints it")


def _marked(test: Any, exploration: Exploration) -> Any:
    if not inspect.isfunction(test):
        raise InvalidOption(f"pq_explore is for a test function, not for {shown(test)}")
    if inspect.iscoroutinefunction(test):
        raise InvalidOption(
            f"{test.__qualname__} is async, and pq_explore calls a test many times, each with an event loop of its own "
            "for the jobs: write `def` and run_jobs()"
        )
    test.pq_explore = exploration  # type: ignore[attr-defined]  # where the plugin looks for it
    return test
