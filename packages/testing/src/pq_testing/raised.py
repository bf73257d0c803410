"""What the jobs of one worker have raised."""
# ruff: noqa: D102 - what each method does, `Journal` says

from __future__ import annotations

from datetime import timedelta

import attrs

from pq_core.errors import TaskNotFound
from pq_core.job import Job
from pq_core.worker.journal import Journal
from pq_core.worker.run import Run as Execution


@attrs.frozen
class Raised(Journal):
    """The journal of a worker, which remembers how runs failed: the exceptions, not words about them.

    Attributes:
        errors: in the order in which they were raised.
    """

    errors: list[BaseException] = attrs.field(factory=list[BaseException])

    @property
    def latest(self) -> BaseException | None:
        """The last one, if there was one."""
        return self.errors[-1] if self.errors else None

    def retried(self, run: Execution, error: BaseException | None, delay: timedelta) -> None:
        super().retried(run, error, delay)
        if error is not None:
            self.errors.append(error)

    def failed(self, run: Execution, error: BaseException) -> None:
        super().failed(run, error)
        self.errors.append(error)

    def task_unknown(self, job: Job, delay: timedelta) -> None:
        super().task_unknown(job, delay)
        self.errors.append(
            TaskNotFound(
                f"job {job.id} is one of task {job.task!r}, which the app does not know; import the module that "
                "defines it, for example through the app's import_paths"
            )
        )

    def version_unknown(self, job: Job, version: int, delay: timedelta) -> None:
        super().version_unknown(job, version, delay)
        self.errors.append(
            TaskNotFound(
                f"job {job.id} has arguments of version {job.version}, and task {job.task!r} is of version {version}; "
                "a worker of that version gives such a job back"
            )
        )
