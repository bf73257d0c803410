"""Every error that pq raises on purpose, in one tree.

::

    PQError
    ├── InvalidJob (ValueError)             a job that must not be stored; names field, value and place
    │   ├── AlreadyDeferred                 a job with the same unique key is there; names it
    │   └── InvalidArguments                arguments that do not fit the task's signature, or that JSON cannot carry
    ├── InvalidOption (ValueError)          an option of an app, task, worker, retry strategy, connector or search
    ├── InvalidResult (ValueError)          a task returned what JSON cannot carry, or too much; ends the job as failed
    ├── TaskFailed                          a task said so, by `context.fail`
    ├── RetryRequested                      a task said so, by `context.retry`
    ├── TaskTimedOut (TimeoutError)         a task was stopped because it ran longer than its `timeout`
    ├── TaskError
    │   ├── TaskNotFound                    no task of that name in this app
    │   ├── TaskNotBound                    a blueprint's task that no app includes, or several do
    │   └── TaskAlreadyRegistered           two tasks, or a task and an alias, of one name
    ├── AppNotFound                         `package.module:app` does not lead to an App
    ├── JobNotFound                         no job with that id, live or ended
    ├── ScheduleNotFound                    no schedule with that id
    ├── WaitTimedOut (TimeoutError)         a job that was waited for has not ended in time
    ├── RunLost                             a run that ended before its task did
    │   ├── WorkerLost                      its worker died, or left, and it does not run again
    │   └── ProcessDied                     the process of its own that it ran in ended; names the exit code
    └── ConnectorError
        ├── ConnectionFailed                the database does not answer, or refuses
        ├── ConnectorClosed                 used before open() or after close()
        ├── ForkedConnector                 used in a child of the process that opened it
        ├── DatabaseRefused                 a real database, where the environment says to touch none: in tests
        ├── Unsupported                     something that this connector cannot do
        ├── WrongConnection                 a `connection=` that this call cannot use
        ├── TransactionRequired             the transaction is not READ COMMITTED, or none is open
        ├── StoreBusy                       a lock could not be had in time; the same call may go through later
        ├── LeaseLost                       the worker's lease has run out, or it was never given one
        └── SchemaError
            ├── SchemaMissing               pq is not installed in that schema
            ├── SchemaTooOld                migrations or functions of this version are missing
            └── SchemaTooNew                the schema was migrated by a later version of pq

A message says what was wrong, with which value, and what to do about it.
"""

from __future__ import annotations

from copy import copy
from typing import Any


class PQError(Exception):
    """Root of the tree: `except PQError` catches all that pq raises on purpose."""


class InvalidJob(PQError, ValueError):
    """A value that no job may hold, found before anything was written.

    Attributes:
        field: name of the job's field, such as ``"queue"`` or ``"args"``.
        value: the value as it was given.
        index: place in the batch, counted from 0, or None outside of a batch.
    """

    def __init__(self, message: str, *, field: str = "", value: Any = None, index: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.value = value
        self.index = index

    def at(self, index: int) -> InvalidJob:
        """Return the same error, naming the place in the batch."""
        located = type(self)(f"job {index} of the batch: {self}", field=self.field, value=self.value, index=index)
        located.__cause__ = self.__cause__
        return located

    def after(self, first: int) -> InvalidJob:
        """Return the same error, as one of a batch in which `first` jobs more come before."""
        bare = copy(self)
        bare.args = (str(self).removeprefix(f"job {self.index} of the batch: "),)
        return bare.at(first + (self.index or 0))


class InvalidArguments(InvalidJob):
    """Arguments that do not fit the task's signature, or that JSON cannot carry."""


class AlreadyDeferred(InvalidJob):
    """The unique key of the job is taken; nothing was stored.

    Attributes:
        job_id: id of the job that has the key, or that took it last, if the key is taken for a period; 0 if it is
            another job of the same batch, none of which was stored.

    .. versionadded:: 0.1
    """

    def __init__(
        self, message: str, *, field: str = "unique_key", value: Any = None, index: int | None = None, job_id: int = 0
    ) -> None:
        super().__init__(message, field=field, value=value, index=index)
        self.job_id = job_id

    def at(self, index: int) -> AlreadyDeferred:
        """Return the same error, naming the place in the batch."""
        message = f"job {index} of the batch: {self}"
        located = AlreadyDeferred(message, field=self.field, value=self.value, index=index, job_id=self.job_id)
        located.__cause__ = self.__cause__
        return located


class InvalidOption(PQError, ValueError):
    """An option that there is not, or with a value that it cannot have; refused where it is given."""


class InvalidResult(PQError, ValueError):
    """A task returned a value that JSON cannot carry, or that is larger than the worker may store."""


class TaskFailed(PQError):
    """A task has said that its job failed, by `context.fail`.

    .. versionadded:: 0.1
    """


class RetryRequested(PQError):
    """A task has asked for another run, by `context.retry`: stands among the errors of its job.

    .. versionadded:: 0.1
    """


class TaskTimedOut(PQError, TimeoutError):
    """A task ran longer than its `timeout`, and stopped because of it; what it raised then is the cause.

    .. versionadded:: 0.1
    """


class TaskError(PQError):
    """Something is wrong with the name of a task."""


class TaskNotFound(TaskError):
    """No task of that name, nor alias, is registered."""


class TaskNotBound(TaskError):
    """A task of a blueprint that no app includes, or several, so that it is not clear where its job belongs."""


class TaskAlreadyRegistered(TaskError):
    """The name already belongs to another task or alias."""


class AppNotFound(PQError):
    """A path such as ``package.module:app`` does not lead to an App."""


class JobNotFound(PQError):
    """No job has that id, neither live nor ended."""


class WaitTimedOut(PQError, TimeoutError):
    """A job that was waited for has not ended in time; it goes on as if nobody had waited.

    .. versionadded:: 0.1
    """


class RunLost(PQError):
    """A run ended before its task did; what the task has done meanwhile, nobody knows.

    .. versionadded:: 0.1
    """


class WorkerLost(RunLost):
    """The worker of a job died, or left, while the job ran, and the job does not run again.

    .. versionadded:: 0.1
    """


class ProcessDied(RunLost):
    """The process in which a job of a task with ``executor="process"`` ran has ended. It counts as an error of the job.

    Attributes:
        exit_code: of the process; negative: the number of the signal that killed it; None: it could not be started.

    .. versionadded:: 0.1
    """

    def __init__(self, message: str, *, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ScheduleNotFound(PQError):
    """No schedule has that id.

    .. versionadded:: 0.1
    """


class ConnectorError(PQError):
    """A connector cannot do what was asked; nothing was changed."""


class ConnectionFailed(ConnectorError):
    """The database does not answer, or refuses the connection."""


class ConnectorClosed(ConnectorError):
    """The connector is not open."""


class ForkedConnector(ConnectorError):
    """The connector was opened by another process, of which this one is a fork."""


class DatabaseRefused(ConnectorError):
    """The environment variable ``PQ_REFUSE_DATABASE`` is set; pq's pytest plugin does so while tests run.

    .. versionadded:: 0.1
    """


class Unsupported(ConnectorError):
    """This connector cannot do what was asked; another can.

    .. versionadded:: 0.1
    """


class WrongConnection(ConnectorError):
    """The `connection=` given is not one that this call can use."""


class TransactionRequired(ConnectorError):
    """The transaction has not the isolation level that the operation needs (READ COMMITTED)."""


class StoreBusy(ConnectorError):
    """Something held elsewhere was not given free in time, or two calls stood in each other's way; try again."""


class LeaseLost(ConnectorError):
    """The worker has no live lease: it must send a heartbeat before it may fetch."""


class SchemaError(ConnectorError):
    """The database schema and this version of pq do not fit."""


class SchemaMissing(SchemaError):
    """pq is not installed in that schema."""


class SchemaTooOld(SchemaError):
    """The schema lacks migrations or functions of this version of pq."""


class SchemaTooNew(SchemaError):
    """The schema was migrated by a later version of pq than this one."""


def shown(value: object, most: int = 80) -> str:
    """Return how a message shows a value that was refused: in at most `most` characters, and whatever the value is."""
    try:
        text = ascii(value)
    except Exception:  # noqa: BLE001 - a number of too many digits, nesting too deep, a __repr__ of the user's
        text = f"<{type(value).__qualname__}>"
    return text if len(text) <= most else f"{text[: most - 3]}..."
