"""To find jobs, some at a time, and to change those that were found or named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from pq_core import App, Job, JobState

PAGE = 1_000
"""Jobs in one statement."""


@attrs.frozen(kw_only=True)
class Search:
    """Which jobs are meant: all that fit what is given.

    Attributes:
        states: those meant if `state` is not given.
    """

    queue: str | None
    task: str | None
    state: list[str] | None
    lock: str | None
    limit: int | None
    after: int
    states: tuple[str, ...] = ()

    @property
    def narrow(self) -> bool:
        """Whether anything is given that tells some jobs from others."""
        return any(each is not None for each in (self.queue, self.task, self.state or None, self.lock))

    @property
    def which(self) -> dict[str, Any]:
        """What is given, by the names of `app.jobs.find`."""
        given = {"queue": self.queue, "task": self.task, "state": self.state or self.states or None, "lock": self.lock}
        return {name: value for name, value in given.items() if value is not None}

    def pages(self, app: App) -> Iterator[list[Job]]:
        """Find the jobs in order of id, some at a time."""
        after, left = self.after, self.limit
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            found = app.jobs.find(limit=size, after=after, **self.which)
            if found:
                yield found
            if len(found) < size:
                return
            after = found[-1].id
            left = None if left is None else left - len(found)


@attrs.frozen(kw_only=True)
class Change:
    """What became of jobs that were to be changed.

    Attributes:
        unchanged: ids that were named, of jobs that are unknown or in a state that does not allow it; sorted.
    """

    changed: list[JobState]
    unchanged: list[int]


def change(app: App, apply: Callable[[list[int]], list[JobState]], which: list[int] | Search) -> Change:
    """Apply a change to the jobs of these ids, or to those that a search finds."""
    changed: list[JobState] = []
    if isinstance(which, Search):
        for page in which.pages(app):
            changed += apply([job.id for job in page])
        return Change(changed=changed, unchanged=[])
    wanted = list(dict.fromkeys(which))
    for start in range(0, len(wanted), PAGE):
        changed += apply(wanted[start : start + PAGE])
    return Change(changed=changed, unchanged=sorted(set(wanted) - {job.id for job in changed}))
