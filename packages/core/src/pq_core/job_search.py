"""Which jobs are meant, by their ids or by what they have in common, and how to change them a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, TypedDict, TypeVar, cast

import attrs

from pq_core.connector import Connector, SyncConnector
from pq_core.deferrer import refuse_unknown
from pq_core.errors import InvalidOption
from pq_core.given import check_ids, check_states
from pq_core.job import Job
from pq_core.selection import JobFilter
from pq_core.states import State
from pq_core.task import Task

T = TypeVar("T")
Ids = int | Iterable[int]
"""One id, or several."""
PAGE = 1_000
"""Jobs that are looked up, and changed, in one statement."""


class Search(TypedDict, total=False):
    """What jobs have in common: those are meant that fit all that is given.

    .. versionadded:: 0.1
    """

    queue: str
    task: str | Task[..., Any]
    state: str | Iterable[str]
    """One state, or several: see :class:`State`."""
    lock: str
    unique_key: str
    args: Mapping[str, Any]
    """Some of its arguments, each with the value that it must have."""
    created_after: datetime
    """Aware, as the other times: then or later."""
    created_before: datetime
    """Before then."""
    scheduled_after: datetime
    """Due then or later."""
    scheduled_before: datetime
    """Due before then."""


class Which(Search, total=False):
    """Which jobs are meant: those that fit all that is given.

    .. versionadded:: 0.1
    """

    ids: Ids


@attrs.frozen
class Call:
    """A verb of a connector, to be called with these arguments."""

    verb: str
    args: tuple[Any, ...]
    options: Mapping[str, Any] = attrs.field(factory=dict[str, Any])


Conversation = Generator[Call, Any, T]
"""Yields what to call and is sent the answer: the same for callers that await and for those that do not."""


def hold(conversation: Conversation[T], connector: SyncConnector) -> T:
    """Call what the conversation asks for; return what it comes to."""
    answer: Any = None
    while True:
        try:
            call = conversation.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return] # a generator's, which StopIteration does not know
        answer = getattr(connector, call.verb)(*call.args, **call.options)


async def hold_async(conversation: Conversation[T], connector: Connector) -> T:
    """Do what :func:`hold` does."""
    answer: Any = None
    while True:
        try:
            call = conversation.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return] # as above
        answer = await getattr(connector, call.verb)(*call.args, **call.options)


def change(which: Sequence[int] | JobFilter, call: Callable[[Sequence[int]], Call]) -> Conversation[list[Any]]:
    """Change jobs by their ids, all in one call, or those that a filter finds, a page a call.

    Pages follow each other by id, so no job comes twice, whatever a change does to it.
    """
    if not isinstance(which, JobFilter):
        answer: list[Any] = yield call(which)
        return answer
    changed: list[Any] = []
    after = 0
    while True:
        page: list[Job] = yield Call("find", (which,), {"limit": PAGE, "after": after})
        if page:
            after = page[-1].id
            changed += yield call([job.id for job in page])
        if len(page) < PAGE:
            return changed


def job_filter(which: Which) -> JobFilter:
    """Return what is given as a filter.

    Raises:
        InvalidOption: there is no such option, or it has a value that it cannot have.
    """
    refuse_unknown("a search for jobs", which, Which)
    ids, task, state = which.get("ids"), which.get("task"), which.get("state")
    return JobFilter(
        ids=None if ids is None else listed(ids),
        queue=which.get("queue"),
        task=task.located_name if isinstance(task, Task) else task,
        states=None if state is None else check_states([state] if isinstance(state, str) else state),
        lock=which.get("lock"),
        unique_key=which.get("unique_key"),
        args=which.get("args") or None,
        created_after=which.get("created_after"),
        created_before=which.get("created_before"),
        scheduled_after=which.get("scheduled_after"),
        scheduled_before=which.get("scheduled_before"),
    )


def meant(
    what: str,
    ids: Ids | None,
    search: Search,
    *,
    everything: bool,
    states: AbstractSet[State],
    possible: AbstractSet[State] | None = None,
) -> Sequence[int] | JobFilter:
    """Return the ids that a change names, or the filter for which it searches.

    Args:
        what: the change, as an error calls it.
        ids: the jobs, by their ids.
        search: what they have in common; options that are None are not given.
        everything: all jobs are meant.
        states: which to search for unless the search names some.
        possible: in which jobs can be changed so; None: those.

    Raises:
        InvalidOption: nothing is named, or both ids and what the jobs have in common; or a value is wrong, or names
            states only in which no job can be changed so.
    """
    refuse_unknown(what, search, Search)
    found = job_filter(cast("Which", search))
    given = [name for name, named in (("ids", ids is not None), ("everything=True", everything)) if named]
    if found != JobFilter():
        given.append("what the jobs have in common")
    if len(given) != 1:
        named = " and ".join(given) or "nothing to tell which jobs"
        raise InvalidOption(
            f"{what} was given {named}; name jobs either by their ids, or by what they have in common "
            f"({', '.join(Search.__annotations__)}), or say everything=True"
        )
    if ids is not None:
        return listed(ids)
    if found.states is None:
        return attrs.evolve(found, states=sorted(states))
    possible = states if possible is None else possible
    if found.states and possible.isdisjoint(found.states):
        raise InvalidOption(
            f"{what} leaves jobs alone that are {' or '.join(found.states)}; name some of {', '.join(sorted(possible))}"
        )
    return found


def listed(ids: Ids) -> Sequence[int]:
    """Return ids as a list.

    Raises:
        InvalidOption: these are not ids.
    """
    return check_ids([ids] if isinstance(ids, int) else ids)
