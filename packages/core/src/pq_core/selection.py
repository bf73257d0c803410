"""Which jobs somebody means, and what is to change of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from pq_core.errors import InvalidJob
from pq_core.given import as_option, check_ids, check_states
from pq_core.job import (
    check_delay,
    check_lock,
    check_moment,
    check_name,
    check_unique_key,
    overwrite,
    refuse_two_times,
)
from pq_core.outcome import UNCHANGED, Unchanged, check_transfer
from pq_core.payload import dump_mapping
from pq_core.states import State


@attrs.frozen(kw_only=True)
class JobFilter:
    """Which jobs are meant: all that fit every field given; live and ended ones alike.

    Raises:
        InvalidOption: a value that no job may have. An id may be any whole number.

    .. versionadded:: 0.1

    Attributes:
        args: names of arguments, with values that the job has for them, too, equal as JSON values: 1 is 1.0 but not
            true, and the order of an object's names is no difference. Other arguments may be anything.
        created_after: jobs of that moment or later, as with `scheduled_after`.
        created_before: jobs of before that moment, as with `scheduled_before`.
        scheduled_after: of `scheduled_at`, the time when the job was, or is, due.
    """

    ids: Sequence[int] | None = None
    queue: str | None = None
    task: str | None = None
    states: Sequence[State] | None = None
    lock: str | None = None
    args: Mapping[str, Any] | None = None
    unique_key: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    scheduled_after: datetime | None = None
    scheduled_before: datetime | None = None

    def __attrs_post_init__(self) -> None:
        if self.ids is not None:
            overwrite(self, ids=check_ids(self.ids))
        if self.states is not None:
            overwrite(self, states=check_states(self.states))
        with as_option():
            if self.queue is not None:
                overwrite(self, queue=check_name("queue", self.queue))
            if self.task is not None:
                overwrite(self, task=check_name("task", self.task))
            if self.lock is not None:
                overwrite(self, lock=check_lock(self.lock))
            if self.args is not None:
                dump_mapping(self.args, "args", error=InvalidJob)
            if self.unique_key is not None:
                overwrite(self, unique_key=check_unique_key(self.unique_key))
            for name in ("created_after", "created_before", "scheduled_after", "scheduled_before"):
                if getattr(self, name) is not None:
                    check_moment(name, getattr(self, name))


@attrs.frozen(kw_only=True)
class JobChanges:
    """New values for waiting jobs. `scheduled_at` and `delay` exclude each other; a delay of zero means now.

    A `lock` of None takes the lock away, an `expires_at` of None lets the job wait for ever.

    Raises:
        InvalidJob: a value that no job may have.

    .. versionadded:: 0.1
    """

    scheduled_at: datetime | None = None
    delay: timedelta | None = None
    queue: str | None = None
    priority: int | None = None
    lock: str | Unchanged | None = UNCHANGED
    expires_at: datetime | Unchanged | None = UNCHANGED

    def __attrs_post_init__(self) -> None:
        refuse_two_times(self.scheduled_at, self.delay)
        if self.scheduled_at is not None:
            check_moment("scheduled_at", self.scheduled_at)
        if self.delay is not None:
            check_delay("delay", self.delay)
        queue, priority, lock = check_transfer(self.queue, self.priority, self.lock)
        overwrite(self, queue=queue, priority=priority, lock=lock)
        if self.expires_at is not None and self.expires_at is not UNCHANGED:
            check_moment("expires_at", self.expires_at)
