"""What callers give that is no job: ids, limits, times, lists. Made plain or refused, alike for every connector."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from pq_core.errors import InvalidJob, InvalidOption, shown
from pq_core.job import check_delay, check_moment, check_name
from pq_core.payload import clean_text
from pq_core.states import State

MAX_LIMIT = 1_000_000_000
"""Jobs in one answer at most: who asks for more gets no more."""
MAX_ID = 2**63 - 1


def several(what: str, value: object, wanted: str) -> tuple[Any, ...]:
    """Return what a list, or another iterable, holds. A text counts as one thing, not as many.

    Raises:
        InvalidOption: `value` is none; the message calls it `what`, and names what is `wanted`.
    """
    if not isinstance(value, (str, bytes, bytearray)):
        try:
            items = iter(cast("Iterable[Any]", value))
        except TypeError:
            pass
        else:
            return tuple(items)
    alone = isinstance(value, (str, bytes, bytearray)) or callable(value)
    hint = f"; give a list: [{shown(value)}]" if alone else ""
    raise InvalidOption(f"{what} {shown(value)} is not {wanted}{hint}")


def check_id(value: object, what: str = "job id") -> int:
    """Return an id as a plain number. One that no job can have is no error: it is found nowhere.

    Raises:
        InvalidOption: it is not a whole number.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    raise InvalidOption(f"{what} {shown(value)} is not a whole number")


def check_ids(ids: object) -> tuple[int, ...]:
    """Return ids of jobs as plain numbers.

    Raises:
        InvalidOption: these are not whole numbers, or not a list of them.
    """
    if isinstance(ids, (str, bytes, bytearray)):
        raise InvalidOption(f"ids {shown(ids)} is not a whole number or a list of them")
    return tuple(check_id(each) for each in several("ids", ids, "a whole number or a list of them"))


def check_states(states: object) -> tuple[State, ...]:
    """Return states, which may be given as texts.

    Raises:
        InvalidOption: one is no state, or this is not a list of them.
    """
    return tuple(_state(each) for each in several("states", states, "a list of states"))


def check_limit(limit: object, least: int = 0) -> int:
    """Return how many jobs an answer may hold.

    Raises:
        InvalidOption: this is not a whole number from `least`.
    """
    number = check_id(limit, "limit")
    if number < least:
        raise InvalidOption(f"limit {shown(limit)} is less than {least}")
    return min(number, MAX_LIMIT)


def check_pause(queue: object, task: object, everything: object) -> tuple[Literal["queue", "task", "all"], str]:
    """Return what is to be paused or resumed, as kind and name.

    Raises:
        InvalidOption: nothing is named, or more than one thing.
        InvalidJob: no queue, or no task, can have that name.
    """
    if not isinstance(everything, bool):
        raise InvalidOption(f"everything {shown(everything)} is neither True nor False")
    given = {"queue": queue, "task": task, "everything": everything or None}
    named = [f"{name}={shown(value)}" for name, value in given.items() if value is not None]
    if len(named) != 1:
        what = " and ".join(named) or "nothing"
        raise InvalidOption(f"{what} cannot be paused or resumed: name one queue, or one task, or say everything=True")
    if everything:
        return "all", ""
    return ("queue", check_name("queue", queue)) if task is None else ("task", check_name("task", task))


def check_worker(worker: object) -> int:
    """Return the id of a worker.

    Raises:
        InvalidOption: this is not a whole number of at most 63 bits.
    """
    number = check_id(worker, "worker")
    if not -MAX_ID <= number <= MAX_ID:
        raise InvalidOption(f"worker {shown(worker)} has more than 63 bits")
    return number


def check_now(now: object) -> datetime:
    """Return the time that a caller says it is, or that a clock tells.

    Raises:
        InvalidOption: this is not an aware datetime between the years 1900 and 8999.
    """
    try:
        check_moment("now", now)
    except InvalidJob as reason:
        raise InvalidOption(str(reason)) from reason.__cause__
    return cast("datetime", now)


def check_age(older_than: object) -> timedelta | None:
    """Return the age from which ended jobs are forgotten; None: never.

    Raises:
        InvalidOption: this is not a timedelta from 0.
    """
    if older_than is not None and (not isinstance(older_than, timedelta) or older_than < timedelta(0)):
        raise InvalidOption(f"older_than {shown(older_than)} is not a timedelta from 0; None means for ever")
    return older_than


def check_steps(limit: object) -> int | None:
    """Return how many jobs a call may forget; None: all.

    Raises:
        InvalidOption: this is not a whole number from 1.
    """
    return None if limit is None else check_limit(limit, 1)


def check_lease(lease: object) -> timedelta:
    """Return how long a worker counts as alive.

    Raises:
        InvalidOption: this is not a timedelta from 0 to a thousand years.
    """
    with as_option():
        check_delay("lease", lease)
    return cast("timedelta", lease)


def check_reason(reason: object) -> str:
    """Return why a job is cancelled, as it can be stored.

    Raises:
        InvalidOption: this is not a text.
    """
    if not isinstance(reason, str):
        raise InvalidOption(f"reason {shown(reason)} is not a text")
    return clean_text(str.__str__(reason))


def check_queues(queues: object) -> tuple[str, ...] | None:
    """Return names of queues, less those that no queue can have; None means every queue.

    Raises:
        InvalidOption: this is not a list of texts.
    """
    if queues is None:
        return None
    names = several("queues", queues, "a list of names; None means every queue")
    for name in names:
        if not isinstance(name, str):
            raise InvalidOption(f"queues holds {shown(name)}, which is not a text")
    return tuple(str.__str__(name) for name in names if clean_text(name) == name)


@contextmanager
def as_option(what: str = "") -> Generator[None]:
    """Let what is refused inside be an option's fault.

    Raises:
        InvalidOption: instead of an InvalidJob; its message begins with `what`.
    """
    try:
        yield
    except InvalidJob as reason:
        raise InvalidOption(f"{what}{reason}") from reason.__cause__


def _state(value: object) -> State:
    try:
        return State(value)  # type: ignore[arg-type] # which is what there is to find out
    except ValueError:
        raise InvalidOption(f"state {shown(value)}: there are only {', '.join(State)}") from None
