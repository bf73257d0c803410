"""What a worker may be told, and what it does unless told otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypedDict

import attrs

from pq_core.context import Keep
from pq_core.errors import InvalidJob, InvalidOption
from pq_core.job import check_name

LARGEST_BATCH = 10_000
"""Jobs in one statement; a larger batch gains nothing and holds its locks for longer."""


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
    retention: timedelta | None
    batch: int
    log_arguments: bool
    install_signal_handlers: bool


def _check_queues(_: Any, __: Any, queues: Sequence[str] | None) -> None:
    if queues is None:
        return
    if not _is_list(queues):
        raise InvalidOption(f"queues {queues!r} is not a list of names; None means every queue")
    for queue in queues:
        try:
            check_name("queue", queue)
        except InvalidJob as reason:
            raise InvalidOption(f"queues: {reason}") from None


def _check_name(_: Any, __: Any, name: object) -> None:
    try:
        check_name("name", name)
    except InvalidJob as reason:
        raise InvalidOption(f"worker: {reason}") from None


def _check_count(_: Any, option: attrs.Attribute[int], count: object) -> None:
    most = LARGEST_BATCH
    if type(count) is not int or not 1 <= count <= most:
        raise InvalidOption(f"{option.name} {count!r} is not a whole number from 1 to {most}")


def _check_seconds(_: Any, option: attrs.Attribute[float], seconds: Any) -> None:
    if not _is_number(seconds) or not 0 < seconds < math.inf:
        raise InvalidOption(f"{option.name} {seconds!r} is not a number of seconds above 0")


def _check_grace(_: Any, __: Any, seconds: Any) -> None:
    if seconds is not None and (not _is_number(seconds) or not 0 <= seconds < math.inf):
        raise InvalidOption(f"graceful_timeout {seconds!r} is not a number of seconds from 0; None means for ever")


def _check_keep(_: Any, __: Any, keep: object) -> None:
    if keep not in ("all", "failed", "none"):
        raise InvalidOption(f"keep {keep!r} is none of 'all', 'failed', 'none'")


def _check_retention(_: Any, __: Any, retention: object) -> None:
    if retention is not None and (not isinstance(retention, timedelta) or retention < timedelta(0)):
        raise InvalidOption(f"retention {retention!r} is not a timedelta from 0; None means for ever")


def _is_list(value: Sequence[str]) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@attrs.frozen(kw_only=True)
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
        retention: how long they stay there; None: for ever.
        batch: jobs claimed, and outcomes written, by one statement at most.
        log_arguments: whether logs may show the values of jobs' arguments.
        install_signal_handlers: whether SIGTERM and SIGINT stop the worker.

    Raises:
        InvalidOption: an option has a value that it cannot have.
    """

    queues: Sequence[str] | None = attrs.field(default=None, validator=_check_queues)
    name: str = attrs.field(default="worker", validator=_check_name)
    concurrency: int = attrs.field(default=10, validator=_check_count)
    wait: bool = True
    poll_interval: float = attrs.field(default=5.0, validator=_check_seconds)
    listen: bool = True
    graceful_timeout: float | None = attrs.field(default=30.0, validator=_check_grace)
    lease: float = attrs.field(default=30.0, validator=_check_seconds)
    keep: Keep = attrs.field(default="all", validator=_check_keep)
    retention: timedelta | None = attrs.field(default=timedelta(days=30), validator=_check_retention)
    batch: int = attrs.field(default=500, validator=_check_count)
    log_arguments: bool = False
    install_signal_handlers: bool = True
