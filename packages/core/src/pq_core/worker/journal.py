"""What a worker says of its jobs, in the log and to the app's hooks. Nothing is made unless somebody listens."""

from __future__ import annotations

import logging
from contextlib import suppress
from contextvars import Context, copy_context
from datetime import timedelta
from time import perf_counter
from typing import Any

import attrs

from pq_core.events import (
    Hooks,
    JobCancelled,
    JobEvent,
    JobFailed,
    JobReleased,
    JobRetried,
    JobSnoozed,
    JobStarted,
    JobSucceeded,
    OutcomeLost,
)
from pq_core.job import Job
from pq_core.log import call_text, fields, job_fields
from pq_core.worker.cut_short import runs_once, the_end
from pq_core.worker.run import Run
from pq_core.worker.transactional import REST

logger = logging.getLogger("pq_core.worker")


@attrs.frozen
class Journal:
    """Writes the records of one worker, and tells of its events.

    Attributes:
        worker: its name.
        arguments: whether records may show the values of jobs' arguments.
        hooks: are told of events.
    """

    worker: str
    arguments: bool = False
    hooks: Hooks = attrs.field(factory=Hooks)

    def started(self, job: Job, surroundings: Context) -> None:
        """Say that a job starts, which will run in these surroundings."""
        if logger.isEnabledFor(logging.DEBUG):
            self._write(logging.DEBUG, "job_started", "Job %s starts", job)
        if JobStarted in self.hooks.functions:
            surroundings.run(self.hooks.tell, JobStarted(worker=self.worker, job=job))

    def succeeded(self, run: Run) -> None:
        """Say that a job succeeded, and how late, if that was after its time was up."""
        if run.deadline is not None and (late := run.timer() - run.deadline) > 0:
            self._late(run, late)
        if logger.isEnabledFor(logging.INFO):
            self._write(logging.INFO, "job_succeeded", "Job %s succeeded", run.job, seconds=_seconds(run))
        if JobSucceeded in self.hooks.functions:
            self._tell(JobSucceeded(worker=self.worker, job=run.job, seconds=_seconds(run)))

    def retried(self, run: Run, error: BaseException | None, delay: timedelta) -> None:
        """Say that a job runs again: it failed with `error`, or it asked for that itself."""
        if logger.isEnabledFor(logging.WARNING):
            why = "wants another run" if error is None else f"failed with {type(error).__name__} and runs again"
            message, wait = f"Job %s {why} in {delay}", delay.total_seconds()
            self._write(logging.WARNING, "job_retried", message, run.job, error, seconds=_seconds(run), retry_in=wait)
        if JobRetried in self.hooks.functions:
            seconds = _seconds(run)
            self._tell(JobRetried(worker=self.worker, job=run.job, seconds=seconds, error=error, delay=delay))

    def failed(self, run: Run, error: BaseException) -> None:
        """Say that a job failed for good."""
        if logger.isEnabledFor(logging.ERROR):
            message = f"Job %s failed with {type(error).__name__}"
            self._write(logging.ERROR, "job_failed", message, run.job, error, seconds=_seconds(run))
        if JobFailed in self.hooks.functions:
            self._tell(JobFailed(worker=self.worker, job=run.job, seconds=_seconds(run), error=error))

    def snoozed(self, run: Run, delay: timedelta) -> None:
        """Say that a job wants to run later."""
        if logger.isEnabledFor(logging.INFO):
            wait = delay.total_seconds()
            message = f"Job %s goes on in {delay}"
            self._write(logging.INFO, "job_snoozed", message, run.job, seconds=_seconds(run), retry_in=wait)
        if JobSnoozed in self.hooks.functions:
            self._tell(JobSnoozed(worker=self.worker, job=run.job, seconds=_seconds(run), delay=delay))

    def cancelled(self, run: Run, reason: str | None) -> None:
        """Say that a job was cancelled: by request, for a reason that the store knows, or by itself."""
        if logger.isEnabledFor(logging.INFO):
            why = "it was cancelled" if reason is None else f"it cancelled itself: {reason}"
            self._write(
                logging.INFO,
                "job_cancelled",
                f"Job %s stopped: {why.replace('%', '%%')}",
                run.job,
                seconds=_seconds(run),
            )
        if JobCancelled in self.hooks.functions:
            self._tell(JobCancelled(worker=self.worker, job=run.job, seconds=_seconds(run), reason=reason))

    def stopped(self, run: Run) -> None:
        """Say that a job stopped because it was asked to."""
        if run.stop_asked == "cancel":
            self.cancelled(run, None)
            return
        if logger.isEnabledFor(logging.INFO):
            message = "Job %s stopped: the worker shuts down; it goes back to its queue"
            self._write(logging.INFO, "job_released", message, run.job, seconds=_seconds(run))
        if JobReleased in self.hooks.functions:
            none = timedelta(0)
            self._tell(JobReleased(worker=self.worker, job=run.job, seconds=_seconds(run), delay=none))

    def cut_short(self, run: Run) -> None:
        """Say that the worker leaves without waiting for a run: its job runs again, unless it runs at most once."""
        if runs_once(run.job):
            self.failed(run, the_end(run.job))
        else:
            self.stopped(run)

    def task_unknown(self, job: Job, delay: timedelta) -> None:
        """Say that this worker does not know a job's task."""
        if logger.isEnabledFor(logging.WARNING):
            message = (
                f"Job %s goes back to its queue for {delay.total_seconds():g} s: this worker knows no task of that "
                "name. Is the module that defines it imported, for example by the app's import_paths?"
            )
            self._write(logging.WARNING, "task_unknown", message, job)
        if JobReleased in self.hooks.functions:
            self._tell(JobReleased(worker=self.worker, job=job, seconds=0.0, delay=delay))

    def version_unknown(self, job: Job, version: int, delay: timedelta) -> None:
        """Say that a job's arguments are of a later version than this worker's task, which is of `version`."""
        if logger.isEnabledFor(logging.WARNING):
            message = (
                f"Job %s goes back to its queue for {delay.total_seconds():g} s: its arguments are of version "
                f"{job.version}, and the task of this worker takes version {version}. A newer worker can run it"
            )
            self._write(logging.WARNING, "version_unknown", message, job)
        if JobReleased in self.hooks.functions:
            self._tell(JobReleased(worker=self.worker, job=job, seconds=0.0, delay=delay))

    def undone(self, job: Job, error: BaseException) -> None:
        """Say that a job's transaction could not be begun, or that it is not known to be committed."""
        if logger.isEnabledFor(logging.WARNING):
            why = f"{type(error).__name__}: {error}".replace("%", "%%")
            message = f"Job %s goes back to its queue, unless it has ended: its transaction came to nothing: {why}"
            self._write(logging.WARNING, "transaction_undone", message, job)
        if JobReleased in self.hooks.functions:
            self._tell(JobReleased(worker=self.worker, job=job, seconds=0.0, delay=REST))

    def held_long(self, run: Run, seconds: float, pid: int | None) -> None:
        """Say that a job's transaction is open for long: what others delete meanwhile, no vacuum can clear away."""
        if logger.isEnabledFor(logging.WARNING):
            message = (
                f"Job %s holds its transaction for {seconds:.0f} s already (backend {pid}). That keeps VACUUM from "
                "clearing away what was deleted since, in every table: do slow work before or after, in jobs of its own"
            )
            self._write(logging.WARNING, "transaction_long", message, run.job, seconds=seconds, backend_pid=pid)

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
        if OutcomeLost in self.hooks.functions:
            self._tell(OutcomeLost(worker=self.worker, job_id=job_id, claim=claim, kind=kind))

    def _tell(self, event: JobEvent | OutcomeLost) -> None:
        """Tell of an event, in a context that goes with it: the runner of the job runs others after it."""
        copy_context().run(self.hooks.tell, event)

    def _late(self, run: Run, seconds: float) -> None:
        if logger.isEnabledFor(logging.WARNING):
            message = (
                f"Job %s returned {seconds:.3g} s after its timeout, which it has not noticed; its result stands. "
                "A sync task has to ask context.should_stop()"
            )
            self._write(logging.WARNING, "job_late", message, run.job, seconds=_seconds(run))

    def _write(
        self, level: int, action: str, message: str, job: Job, error: BaseException | None = None, **more: Any
    ) -> None:
        extra = fields(action, job=job_fields(job, arguments=self.arguments), worker=self.worker, **more)
        with suppress(Exception):  # filters and handlers are the user's: what they raise must not decide a job's fate
            logger.log(level, message, call_text(job, arguments=self.arguments), extra=extra, exc_info=error)


def _seconds(run: Run) -> float:
    return perf_counter() - run.since
