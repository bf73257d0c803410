"""What happened to the jobs of one test, and what of it the test has looked at."""

from __future__ import annotations

import attrs

from pq_core.job import Job
from pq_core.outcome import Kind
from pq_core.states import State
from pq_testing.report import Run

_END: dict[Kind, State] = {"succeeded": State.SUCCEEDED, "failed": State.FAILED, "cancelled": State.CANCELLED}


@attrs.define(eq=False)
class Ledger:
    """The runs of one test, in the order in which they ended.

    Attributes:
        runs: every execution of a job.
        asserted: ids of the jobs that the test has asserted something about.
    """

    runs: list[Run] = attrs.field(factory=list[Run])
    asserted: set[int] = attrs.field(factory=set[int])
    _seen: set[int] = attrs.field(factory=set[int])

    def add(self, run: Run) -> None:
        """Write down a run."""
        self.runs.append(run)
        self._seen.discard(run.job.id)

    def seen(self, job_id: int) -> None:
        """Take note that the test has looked at the failure of a job: it was raised, or handed out."""
        self._seen.add(job_id)

    def unseen_failures(self) -> list[Run]:
        """Return the runs with which jobs failed for good, and at which the test has not looked."""
        return [run for run in self.runs if run.kind == "failed" and run.written and run.job.id not in self._seen]

    def vanished(self, known: set[int]) -> list[Job]:
        """Return, as they ended, the jobs that ran and that the store has forgotten, as `keep` told it to.

        Args:
            known: ids of the jobs that the store has.
        """
        last = {run.job.id: run for run in self.runs if run.written}
        return [
            _ended(run)
            for job_id, run in last.items()
            if job_id not in known and run.kind in _END and not run.outcome.keep
        ]

    def reset(self) -> None:
        """Forget everything."""
        self.runs.clear()
        self.asserted.clear()
        self._seen.clear()


def _ended(run: Run) -> Job:
    errors = run.job.errors if run.outcome.error is None else [*run.job.errors, run.outcome.error]
    return attrs.evolve(run.job, state=_END[run.kind], finished_at=run.finished_at, errors=errors, result=run.result)
