"""A PostgreSQL job queue whose users can test everything they build on it.

What only some programs need, the connectors and the worker, is imported when first used: so this import is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pq_core import events
from pq_core.answers import Deferred, JobState, Pause, QueueInfo, SchemaStatus
from pq_core.app import App
from pq_core.blueprint import Blueprint
from pq_core.connector import Connector
from pq_core.context import JobContext, current_context
from pq_core.deferrer import Deferrer
from pq_core.errors import (
    AlreadyDeferred,
    AppNotFound,
    ConnectionFailed,
    ConnectorClosed,
    ConnectorError,
    ForkedConnector,
    InvalidArguments,
    InvalidJob,
    InvalidOption,
    InvalidResult,
    JobNotFound,
    LeaseLost,
    PQError,
    ProcessDied,
    RetryRequested,
    RunLost,
    ScheduleNotFound,
    SchemaError,
    SchemaMissing,
    SchemaTooNew,
    SchemaTooOld,
    StoreBusy,
    TaskAlreadyRegistered,
    TaskError,
    TaskFailed,
    TaskNotBound,
    TaskNotFound,
    TaskTimedOut,
    TransactionRequired,
    Unsupported,
    WaitTimedOut,
    WorkerLost,
    WrongConnection,
)
from pq_core.explain import Explanation
from pq_core.health import Health
from pq_core.job import Job, LockMode, NewJob
from pq_core.outcome import UNCHANGED
from pq_core.registry import TaskRegistry
from pq_core.retry import BaseRetryStrategy, RetryDecision, RetryStrategy
from pq_core.schedule import NewSchedule, Schedule
from pq_core.states import State
from pq_core.task import ContextTask, Task
from pq_core.unique import Unique
from pq_core.verdicts import Verdict
from pq_core.waiting import JobHandle
from pq_core.worker_info import WorkerStatus

if TYPE_CHECKING:
    from pq_core.memory import InMemoryConnector
    from pq_core.postgres import PsycopgConnector
    from pq_core.worker import Worker, WorkerOptions

__all__ = [
    "UNCHANGED",
    "AlreadyDeferred",
    "App",
    "AppNotFound",
    "BaseRetryStrategy",
    "Blueprint",
    "ConnectionFailed",
    "Connector",
    "ConnectorClosed",
    "ConnectorError",
    "ContextTask",
    "Deferred",
    "Deferrer",
    "Explanation",
    "ForkedConnector",
    "Health",
    "InMemoryConnector",
    "InvalidArguments",
    "InvalidJob",
    "InvalidOption",
    "InvalidResult",
    "Job",
    "JobContext",
    "JobHandle",
    "JobNotFound",
    "JobState",
    "LeaseLost",
    "LockMode",
    "NewJob",
    "NewSchedule",
    "PQError",
    "Pause",
    "ProcessDied",
    "PsycopgConnector",
    "QueueInfo",
    "RetryDecision",
    "RetryRequested",
    "RetryStrategy",
    "RunLost",
    "Schedule",
    "ScheduleNotFound",
    "SchemaError",
    "SchemaMissing",
    "SchemaStatus",
    "SchemaTooNew",
    "SchemaTooOld",
    "State",
    "StoreBusy",
    "Task",
    "TaskAlreadyRegistered",
    "TaskError",
    "TaskFailed",
    "TaskNotBound",
    "TaskNotFound",
    "TaskRegistry",
    "TaskTimedOut",
    "TransactionRequired",
    "Unique",
    "Unsupported",
    "Verdict",
    "WaitTimedOut",
    "Worker",
    "WorkerLost",
    "WorkerOptions",
    "WorkerStatus",
    "WrongConnection",
    "current_context",
    "events",
]

_LAZY = {
    "InMemoryConnector": "pq_core.memory",
    "PsycopgConnector": "pq_core.postgres",
    "Worker": "pq_core.worker",
    "WorkerOptions": "pq_core.worker",
}


def __getattr__(name: str) -> Any:
    """Import what is imported when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
