"""To find jobs, some at a time, and to change those that were found or named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
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

    queue: str | None = None
    task: str | None = None
    state: list[str] | None = None
    lock: str | None = None
    unique_key: str | None = None
    args: Mapping[str, Any] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    scheduled_after: datetime | None = None
    scheduled_before: datetime | None = None
    limit: int | None = None
    after: int = 0
    states: tuple[str, ...] = ()

    @property
    def narrow(self) -> bool:
        """Whether anything is given that tells some jobs from others."""
        return bool(self._given)

    @property
    def which(self) -> dict[str, Any]:
        """What is given, by the names of `app.jobs.find`."""
        return ({"state": self.states} if self.states else {}) | self._given

    @property
    def _given(self) -> dict[str, Any]:
        names = [field.name for field in attrs.fields(Search) if field.name not in {"limit", "after", "states"}]
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value not in (None, [], {})}

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
        changed: what each is now; of jobs that were deleted, the ids.
        unchanged: ids that were named, of jobs that are unknown or in a state that does not allow it; sorted.
    """

    changed: list[JobState | int]
    unchanged: list[int]


def change(app: App, apply: Callable[[list[int]], Sequence[JobState | int]], which: list[int] | Search) -> Change:
    """Apply a change to the jobs of these ids, or to those that a search finds."""
    changed: list[JobState | int] = []
    if isinstance(which, Search):
        for page in which.pages(app):
            changed += apply([job.id for job in page])
        return Change(changed=changed, unchanged=[])
    wanted = list(dict.fromkeys(which))
    for start in range(0, len(wanted), PAGE):
        changed += apply(wanted[start : start + PAGE])
    return Change(changed=changed, unchanged=sorted(set(wanted) - {*map(number, changed)}))


def number(changed: JobState | int) -> int:
    """Return the id of a job that was changed, or deleted."""
    return changed if isinstance(changed, int) else changed.id
