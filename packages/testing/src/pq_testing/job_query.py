"""What `run_jobs.deferred` gives: every job of a test, to assert on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol, Unpack

import attrs

from pq_core.app import App
from pq_core.job import Job
from pq_core.states import State
from pq_testing.job_lines import count_of, job_line
from pq_testing.near_misses import none_found, several_found, unwanted_found
from pq_testing.wanted import AnyTask, AnyValue, Condition, Conditions, Wanted, conditions_of, wanted

MAX_LINES = 50
"""Jobs that a repr shows."""


class TellsTime(Protocol):
    """The clock of a test."""

    def now(self) -> datetime:
        """Return the time, aware."""
        ...


class TakesNote(Protocol):
    """Remembers which jobs a test has looked at."""

    @property
    def asserted(self) -> set[int]:
        """Ids of the jobs that the test has asserted something about."""
        ...

    def seen(self, job_id: int) -> None:
        """Take note that the test has looked at the failure of a job."""
        ...


class HasJobs(Protocol):
    """What a query needs of the harness of a test."""

    @property
    def app(self) -> App:
        """Knows the tasks."""
        ...

    @property
    def clock(self) -> TellsTime:
        """From which lengths of time are counted."""
        ...

    @property
    def ledger(self) -> TakesNote:
        """Who is told what the test looked at."""
        ...

    def jobs(self) -> list[Job]:
        """Return every job of this test in any state, by id."""
        ...


@attrs.frozen(repr=False, eq=False)
class JobQuery:
    """Jobs of a test in any state, in order of id: all, or those that fit what :meth:`where` was given.

    A query looks anew each time it is asked. What it hands out counts as looked at: see `pq_strict`.

    .. versionadded:: 0.1
    """

    _harness: HasJobs
    _conditions: tuple[Condition, ...] = ()

    def one(self, task: AnyTask | None = None, /, **some_arguments: AnyValue) -> Job:
        """Return the one job of a task that has these arguments, whatever its others are.

        Args:
            task: the task, its name or an alias; None: any. For a task that this app does not know, what
                ``app.configure_task(name)`` gives.
            some_arguments: values compare as JSON carries them, so that a tuple equals a list, and True is not 1. An
                argument that was not given counts as its default. Instead of a value, or inside of one, may stand what
                compares by itself (`unittest.mock.ANY`, `pytest.approx(...)`, what dirty_equals has), or a function
                that is given the value and says whether it will do.

        Raises:
            AssertionError: there is none, or more than one; the message shows the jobs that come closest.
            TaskNotFound: neither the app nor a job knows the name.
            InvalidArguments: the task has no parameter of that name, or JSON cannot carry a value.
        """
        __tracebackhide__ = True
        asked, jobs = self._ask(task, some_arguments)
        found = [job for job in jobs if asked.fits(job)]
        if not found:
            raise AssertionError(none_found(asked, jobs, self._now()))
        if len(found) > 1:
            raise AssertionError(several_found(asked, found, self._now()))
        self._looked_at(found)
        return found[0]

    def all(self, task: AnyTask | None = None, /, **some_arguments: AnyValue) -> list[Job]:
        """Return the jobs of a task that have these arguments, as :meth:`one` does: any number, also none.

        Raises:
            TaskNotFound: neither the app nor a job knows the name.
            InvalidArguments: the task has no parameter of that name, or JSON cannot carry a value.
        """
        __tracebackhide__ = True
        asked, jobs = self._ask(task, some_arguments)
        found = [job for job in jobs if asked.fits(job)]
        self._looked_at(found)
        return found

    def none(self, task: AnyTask | None = None, /, **some_arguments: AnyValue) -> None:
        """Assert that no job of a task has these arguments, which are as for :meth:`one`.

        Raises:
            AssertionError: there is one, or more; the message shows them.
            TaskNotFound: neither the app nor a job knows the name.
            InvalidArguments: the task has no parameter of that name, or JSON cannot carry a value.
        """
        __tracebackhide__ = True
        asked, jobs = self._ask(task, some_arguments)
        found = [job for job in jobs if asked.fits(job)]
        if found:
            raise AssertionError(unwanted_found(asked, found, self._now()))

    def where(self, **conditions: Unpack[Conditions]) -> JobQuery:
        """Return a query for those of the jobs that fit all conditions.

        Args:
            conditions: see :class:`Conditions`. Lengths of time count from the time of this call.

        Raises:
            InvalidOption: there is no such condition, or it has a value that no job has.
        """
        __tracebackhide__ = True
        return attrs.evolve(self, conditions=(*self._conditions, *conditions_of(conditions, self._now())))

    def __iter__(self) -> Iterator[Job]:
        return iter(self.all())

    def __len__(self) -> int:
        """Count the jobs. They count as asserted; and the error of one as looked at, if failed ones were asked for."""
        found = self._found()
        self._harness.ledger.asserted.update(job.id for job in found)
        if any(each.what == "state" for each in self._conditions):
            self._looked_at(found)
        return len(found)

    def __repr__(self) -> str:
        found, now = self._found(), self._now()
        lines = [f"  {job_line(job, now)}" for job in found[:MAX_LINES]]
        if more := found[MAX_LINES:]:
            lines.append(f"  and {count_of(len(more), 'more job')}")
        return "\n".join([f"<JobQuery: {count_of(len(found), 'job') if found else 'no jobs'}>", *lines])

    def _ask(self, task: AnyTask | None, arguments: dict[str, AnyValue]) -> tuple[Wanted, list[Job]]:
        __tracebackhide__ = True
        jobs = self._harness.jobs()
        return wanted(self._harness.app, jobs, task, arguments, self._conditions), jobs

    def _found(self) -> list[Job]:
        return [job for job in self._harness.jobs() if all(each.fits(job) for each in self._conditions)]

    def _looked_at(self, jobs: list[Job]) -> None:
        ledger = self._harness.ledger
        for job in jobs:
            ledger.asserted.add(job.id)
            if job.state is State.FAILED:
                ledger.seen(job.id)

    def _now(self) -> datetime:
        return self._harness.clock.now()
