"""What a worker may be told, and what it does unless told otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack, cast

import attrs

from pq_core.context import Keep
from pq_core.deferrer import refuse_unknown
from pq_core.errors import InvalidOption, shown
from pq_core.given import as_option
from pq_core.job import check_name
from pq_core.outcome import MAX_RESULT
from pq_core.worker.retention import DEFAULT, Retention, check_retention

LONGEST_TIME = 86_400
"""Seconds that a lease or a pause between looks for work may last: a day."""
LONGEST_GRACE = 365 * 86_400
"""Seconds that a worker may wait for its jobs to end, unless it waits for ever: a year."""
LARGEST_BATCH = 10_000
"""Jobs in one statement; a larger batch gains nothing and holds its locks for longer."""

MOST_RUNS = 1_000_000_000
MOST_MEGABYTES = 2**24
"""Of memory, for one process: 16 terabytes."""
MOST_BYTES = 2**28
"""Of one result; PostgreSQL's own limit is four times that, and a batch holds many."""


class WorkerOptions(TypedDict, total=False):
    """The options of a worker, as :class:`Settings` describes them.

    .. versionadded:: 0.1
    """

    queues: Sequence[str] | None
    name: str
    concurrency: int
    wait: bool
    poll_interval: float
    listen: bool
    graceful_timeout: float | None
    lease: float
    keep: Keep
    retention: Retention
    batch: int
    log_arguments: bool
    install_signal_handlers: bool
    transaction_warning: float | None
    max_jobs: int | None
    max_memory: float | None
    max_result_bytes: int


def _queues(queues: Sequence[str] | None) -> Sequence[str] | None:
    if queues is None:
        return None
    if not isinstance(queues, (list, tuple)) or not queues:
        raise InvalidOption(f"queues {shown(queues)} is not a list of names; None means every queue")
    with as_option("queues: "):
        return [check_name("queue", queue) for queue in queues]


def _name(name: str) -> str:
    with as_option("worker: "):
        return check_name("name", name)


def _check_switch(_: Any, option: attrs.Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidOption(f"{option.name} {shown(value)} is neither True nor False")


def _check_count(_: Any, option: attrs.Attribute[int], count: object) -> None:
    most = LARGEST_BATCH
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= most:
        raise InvalidOption(f"{option.name} {shown(count)} is not a whole number from 1 to {most}")


def _check_seconds(_: Any, option: attrs.Attribute[float], seconds: Any) -> None:
    if not _is_number(seconds) or not 0 < seconds <= LONGEST_TIME:
        raise InvalidOption(f"{option.name} {shown(seconds)} is not a number of seconds above 0, up to a day")


def _check_grace(_: Any, __: Any, seconds: Any) -> None:
    if seconds is not None and (not _is_number(seconds) or not 0 <= seconds <= LONGEST_GRACE):
        raise InvalidOption(
            f"graceful_timeout {shown(seconds)} is not a number of seconds from 0, up to a year; None means for ever"
        )


def _check_runs(_: Any, __: Any, count: object) -> None:
    whole = isinstance(count, int) and not isinstance(count, bool)
    if count is not None and (not whole or not 1 <= cast("int", count) <= MOST_RUNS):
        raise InvalidOption(f"max_jobs {shown(count)} is not a whole number from 1 to {MOST_RUNS}; None: no limit")


def _check_megabytes(_: Any, __: Any, megabytes: Any) -> None:
    if megabytes is not None and (not _is_number(megabytes) or not 1 <= megabytes <= MOST_MEGABYTES):
        raise InvalidOption(
            f"max_memory {shown(megabytes)} is not a number of megabytes from 1 to {MOST_MEGABYTES}; None: no limit"
        )


def _check_bytes(_: Any, __: Any, count: object) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_BYTES:
        raise InvalidOption(f"max_result_bytes {shown(count)} is not a whole number from 1 to {MOST_BYTES}")


def _check_warning(_: Any, __: Any, seconds: Any) -> None:
    if seconds is not None and (not _is_number(seconds) or not 0 < seconds <= LONGEST_TIME):
        raise InvalidOption(
            f"transaction_warning {shown(seconds)} is not a number of seconds above 0, up to a day; None: no warning"
        )


def _check_keep(_: Any, __: Any, keep: object) -> None:
    if not isinstance(keep, str) or keep not in ("all", "failed", "none"):
        raise InvalidOption(f"keep {shown(keep)} is none of 'all', 'failed', 'none'")


def _check_retention(_: Any, __: Any, retention: object) -> None:
    check_retention(retention)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@attrs.frozen(kw_only=True, init=False)
class Settings:
    """The options of a worker.

    Attributes:
        queues: the queues to serve; None means every queue.
        name: how the worker is called in logs and listings.
        concurrency: jobs that run at the same time; sync ones in as many threads.
        wait: whether to wait for more when nothing is left to run; if false, the worker returns then.
        poll_interval: seconds between looks for work while no news arrives; workers spread by 10 %.
        listen: whether to hold a connection on which the store tells of new jobs at once.
        graceful_timeout: seconds that running jobs may take to end after the worker was asked to stop; None: for ever.
        lease: seconds after its last sign of life at which the worker counts as dead.
        keep: which ended jobs stay in the history, unless their task says otherwise.
        retention: how long they stay there; None: for ever; or a dict of such lengths by outcome, ``succeeded``,
            ``failed``, ``cancelled``, in which what is not named stays for 30 days.
        batch: jobs claimed, and outcomes written, by one statement at most.
        log_arguments: whether logs may show the values of jobs' arguments.
        install_signal_handlers: whether SIGTERM and SIGINT stop the worker.
        transaction_warning: seconds after which a job that still holds its transaction is told of in the log; None: it
            is not.
        max_jobs: runs after which it stops by itself, gracefully; jobs that run then still end. None: it does not.
        max_memory: megabytes of memory above which it does so, looked at when a job ends. None: it does not.
        max_result_bytes: bytes of JSON that a result may have; a job that returns more ends as failed.

    Raises:
        InvalidOption: there is no such option, or it has a value that it cannot have.
    """

    queues: Sequence[str] | None = attrs.field(default=None, converter=_queues)
    name: str = attrs.field(default="worker", converter=_name)
    concurrency: int = attrs.field(default=10, validator=_check_count)
    wait: bool = attrs.field(default=True, validator=_check_switch)
    poll_interval: float = attrs.field(default=5.0, validator=_check_seconds)
    listen: bool = attrs.field(default=True, validator=_check_switch)
    graceful_timeout: float | None = attrs.field(default=30.0, validator=_check_grace)
    lease: float = attrs.field(default=30.0, validator=_check_seconds)
    keep: Keep = attrs.field(default="all", validator=_check_keep)
    retention: Retention = attrs.field(default=DEFAULT, validator=_check_retention)
    batch: int = attrs.field(default=1000, validator=_check_count)
    log_arguments: bool = attrs.field(default=False, validator=_check_switch)
    install_signal_handlers: bool = attrs.field(default=True, validator=_check_switch)
    transaction_warning: float | None = attrs.field(default=60.0, validator=_check_warning)
    max_jobs: int | None = attrs.field(default=None, validator=_check_runs)
    max_memory: float | None = attrs.field(default=None, validator=_check_megabytes)
    max_result_bytes: int = attrs.field(default=MAX_RESULT, validator=_check_bytes)

    def __init__(self, **options: Unpack[WorkerOptions]) -> None:
        refuse_unknown("worker", options, WorkerOptions)
        self.__attrs_init__(**options)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - made by attrs
