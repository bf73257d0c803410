"""Fitting: which jobs a filter means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from pq_core.memory.record import Record
from pq_core.payload import dump, exact, has_args
from pq_core.selection import JobFilter
from pq_core.states import State


@attrs.frozen
class Sieve:
    """A filter, made ready to be asked about many jobs."""

    which: JobFilter
    states: frozenset[State] | None
    args: Mapping[str, Any]

    @classmethod
    def of(cls, which: JobFilter) -> Sieve:
        """Return the sieve of a filter."""
        states = None if which.states is None else frozenset(which.states)
        return cls(which, states, exact(dump(dict(which.args or {}), "args")))

    def lets_through(self, record: Record) -> bool:
        """Whether the job fits every field given. Ids are the caller's affair."""
        which = self.which
        return (
            (which.queue is None or record.queue == which.queue)
            and (which.task is None or record.task == which.task)
            and (which.lock is None or record.lock == which.lock)
            and (which.unique_key is None or record.unique_key == which.unique_key)
            and (self.states is None or record.state in self.states)
            and (which.created_after is None or record.created_at >= which.created_after)
            and (which.created_before is None or record.created_at < which.created_before)
            and (which.scheduled_after is None or record.scheduled_at >= which.scheduled_after)
            and (which.scheduled_before is None or record.scheduled_at < which.scheduled_before)
            and (not self.args or has_args(exact(record.args), self.args))
        )
