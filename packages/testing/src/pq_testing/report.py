"""What a drain did: one `Run` for each execution of a job, and the `Report` over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Protocol

import attrs

from pq_core.job import Job
from pq_core.log import call_text
from pq_core.outcome import Kind, Outcome, describe
from pq_core.payload import load
from pq_core.task import Task
from pq_core.worker.ticking import Tick


@attrs.frozen(kw_only=True, eq=False)
class Run:
    """One execution of one job.

    .. versionadded:: 0.1

    Attributes:
        job: as it was claimed: `job.attempt` counts this run.
        outcome: what the worker wrote, or would have written.
        error: the exception that the task raised, itself.
        started_at: by the test's clock.
        finished_at: by the test's clock.
        hand: number of the simulated worker, from 1.
        written: whether the outcome was still wanted. It is not if the job was given to another worker meanwhile.
    """

    job: Job
    outcome: Outcome
    error: BaseException | None = attrs.field(repr=False)
    started_at: datetime
    finished_at: datetime
    hand: int = 1
    written: bool = True

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.job.task

    @property
    def kind(self) -> Kind:
        """How the run ended: succeeded, failed, retried, snoozed, cancelled or released."""
        return self.outcome.kind

    @property
    def duration(self) -> timedelta:
        """Time that the run took by the test's clock: none, unless the test let time pass."""
        return self.finished_at - self.started_at

    @property
    def result(self) -> Any:
        """What the task returned, as JSON carries it."""
        return None if self.outcome.result is None else load(self.outcome.result)

    def __str__(self) -> str:
        attempt = f" (attempt {self.job.attempt})" if self.job.attempt > 1 else ""
        error = "" if self.error is None else f": {type(self.error).__name__}: {_message(self.error)}"
        return f"job {call_text(self.job, arguments=True)}{attempt} {self.kind}{error}"


def _message(error: BaseException) -> str:
    message: str = describe(error, attempt=0)["message"]
    return message


class Witness(Protocol):
    """Who is told that the test looked at the failure of a job."""

    def seen(self, job_id: int) -> None:
        """Take note."""
        ...


@attrs.frozen(eq=False, repr=False)
class Report:
    """What a drain did, in the order in which runs ended.

    To read `failed` counts as having looked at the errors in it; see `pq_strict`.

    .. versionadded:: 0.1

    Attributes:
        runs: every execution of a job, retries included.
        duration: time that passed by the test's clock.
        ticks: of schedules, in order, if the drain let them tick: each with the id of its `schedule`, and `at`.
    """

    runs: tuple[Run, ...]
    duration: timedelta
    _witness: Witness
    ticks: tuple[Tick, ...] = ()

    @property
    def succeeded(self) -> tuple[Run, ...]:
        """The runs that succeeded."""
        return self._of("succeeded")

    @property
    def failed(self) -> tuple[Run, ...]:
        """The runs with which a job failed for good."""
        failed = self._of("failed")
        for run in failed:
            self._witness.seen(run.job.id)
        return failed

    @property
    def retried(self) -> tuple[Run, ...]:
        """The runs that failed, and after which the job was to run again."""
        return self._of("retried")

    @property
    def snoozed(self) -> tuple[Run, ...]:
        """The runs after which the job wanted to run later."""
        return self._of("snoozed")

    @property
    def cancelled(self) -> tuple[Run, ...]:
        """The runs that were cancelled."""
        return self._of("cancelled")

    @property
    def released(self) -> tuple[Run, ...]:
        """The runs that gave their job back: its task is unknown, say."""
        return self._of("released")

    @property
    def names(self) -> list[str]:
        """Names of the tasks that ran, in order, one for each run."""
        return [run.task for run in self.runs]

    def count(self, task: Task[..., Any] | str | None = None) -> int:
        """Return how many runs there were, of one task or of all."""
        name = task.located_name if isinstance(task, Task) else task
        return len(self.runs) if name is None else sum(run.task == name for run in self.runs)

    def _of(self, kind: Kind) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.kind == kind)

    def __len__(self) -> int:
        return len(self.runs)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __repr__(self) -> str:
        counts = Counter(run.kind for run in self.runs)
        head = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing ran"
        ticked = Counter(tick.schedule for tick in self.ticks)
        ticks = (f"  schedule {schedule!r} ticked {count} times" for schedule, count in ticked.items())
        return "\n".join([f"<Report: {head}>", *ticks, *(f"  {run}" for run in self.runs)])
