"""Fitting: which jobs a filter means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

import attrs

from pq_core.connector import JobFilter
from pq_core.memory.record import Record
from pq_core.payload import dump
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
        return cls(which, states, _exactly(dump(dict(which.args or {}), "args")))

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
            and (not self.args or self._holds_args(_exactly(record.args)))
        )

    def _holds_args(self, args: dict[str, Any]) -> bool:
        return all(name in args and _equal(args[name], value) for name, value in self.args.items())


def _exactly(text: str) -> dict[str, Any]:
    """Read JSON with each number for what is written: as a float, 1e23 is none of its neighbours among the integers."""
    return cast("dict[str, Any]", json.loads(text, parse_int=Decimal, parse_float=Decimal))


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: to Python, true is 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(value, other[name]) for name, value in one.items())
    return bool(one == other)
