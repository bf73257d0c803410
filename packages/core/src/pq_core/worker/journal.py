"""What a worker says of its jobs in the log. A message is only made if somebody listens."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta
from time import perf_counter
from typing import Any

import attrs

from pq_core.job import Job
from pq_core.log import call_text, fields, job_fields
from pq_core.worker.run import Run

logger = logging.getLogger("pq_core.worker")


@attrs.frozen
class Journal:
    """Writes the records of one worker. `arguments` says whether they may show the values of jobs' arguments."""

    worker: str
    arguments: bool = False

    def started(self, job: Job) -> None:
        """Say that a job starts."""
        if logger.isEnabledFor(logging.DEBUG):
            self._write(logging.DEBUG, "job_started", "Job %s starts", job)

    def succeeded(self, run: Run) -> None:
        """Say that a job succeeded."""
        if logger.isEnabledFor(logging.INFO):
            self._write(logging.INFO, "job_succeeded", "Job %s succeeded", run.job, seconds=_seconds(run))

    def retried(self, run: Run, error: BaseException, delay: timedelta) -> None:
        """Say that a job failed and runs again."""
        if logger.isEnabledFor(logging.WARNING):
            message = f"Job %s failed with {type(error).__name__} and runs again in {delay}"
            wait = delay.total_seconds()
            self._write(logging.WARNING, "job_retried", message, run.job, error, seconds=_seconds(run), retry_in=wait)

    def failed(self, run: Run, error: BaseException) -> None:
        """Say that a job failed for good."""
        if logger.isEnabledFor(logging.ERROR):
            message = f"Job %s failed with {type(error).__name__}"
            self._write(logging.ERROR, "job_failed", message, run.job, error, seconds=_seconds(run))

    def stopped(self, run: Run) -> None:
        """Say that a job stopped because it was asked to."""
        why, action = (
            ("it was cancelled", "job_cancelled")
            if run.stop_asked == "cancel"
            else ("the worker shuts down; it goes back to its queue", "job_released")
        )
        if logger.isEnabledFor(logging.INFO):
            self._write(logging.INFO, action, f"Job %s stopped: {why}", run.job, seconds=_seconds(run))

    def task_unknown(self, job: Job, delay: timedelta) -> None:
        """Say that this worker does not know a job's task."""
        if logger.isEnabledFor(logging.WARNING):
            message = (
                f"Job %s goes back to its queue for {delay.total_seconds():g} s: this worker knows no task of that "
                "name. Is the module that defines it imported, for example by the app's import_paths?"
            )
            self._write(logging.WARNING, "task_unknown", message, job)

    def lost(self, job_id: int, claim: int, kind: str) -> None:
        """Say that an outcome came too late."""
        logger.warning(
            "The outcome '%s' of job %s is not written: its claim %s is not current any more. The lease ran out "
            "meanwhile, or it was written before and the answer was lost",
            kind,
            job_id,
            claim,
            extra=fields("outcome_lost", job={"id": job_id, "claim": claim}, outcome=kind, worker=self.worker),
        )

    def _write(
        self, level: int, action: str, message: str, job: Job, error: BaseException | None = None, **more: Any
    ) -> None:
        extra = fields(action, job=job_fields(job, arguments=self.arguments), worker=self.worker, **more)
        with suppress(Exception):  # filters and handlers are the user's: what they raise must not decide a job's fate
            logger.log(level, message, call_text(job, arguments=self.arguments), extra=extra, exc_info=error)


def _seconds(run: Run) -> float:
    return perf_counter() - run.since
