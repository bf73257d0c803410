"""How long ended jobs are kept, by how they ended, and in which steps the older ones are forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypedDict, cast

import attrs

from pq_core.connector import Connector
from pq_core.errors import InvalidOption, shown
from pq_core.states import ENDED, State

DEFAULT = timedelta(days=30)
STEP = 2_000
"""Jobs forgotten by one statement that deletes them one by one: a fraction of a second."""


class RetentionByState(TypedDict, total=False):
    """How long ended jobs are kept, by how they ended; 30 days if that is not named, None: for ever.

    .. versionadded:: 0.1
    """

    succeeded: timedelta | None
    failed: timedelta | None
    cancelled: timedelta | None


Retention = timedelta | RetentionByState | None


@attrs.frozen
class Forgetting:
    """One kind of step: jobs of these states (None: of all) that ended so long ago."""

    older_than: timedelta | None
    states: Sequence[State] | None = None


def check_retention(retention: object) -> None:
    """Refuse what does not say how long ended jobs are kept.

    Raises:
        InvalidOption: it is no length of time, no None, and no dict of them by outcome.
    """
    if not isinstance(retention, Mapping):
        _check_age("retention", retention)
        return
    by_outcome = cast("Mapping[object, object]", retention)
    for outcome, age in by_outcome.items():
        if outcome not in ENDED:
            raise InvalidOption(f"retention names {shown(outcome)}; jobs end as {', '.join(sorted(ENDED))}")
        _check_age(f"retention of {outcome}", age)


def plan(retention: Retention) -> list[Forgetting]:
    """Return what is to be forgotten, in this order: first what is too old however it ended, a whole day at once.

    The first step is there even if nothing is ever forgotten, since it readies the store for the days to come.
    """
    if not isinstance(retention, Mapping):
        return [Forgetting(retention)]
    ages: dict[State, timedelta | None] = dict.fromkeys(sorted(ENDED), DEFAULT)
    ages |= {State(outcome): age for outcome, age in retention.items()}  # type: ignore[misc] # of a TypedDict they are objects
    lengths = [age for age in ages.values() if age is not None]
    oldest = max(lengths) if len(lengths) == len(ages) else None
    younger = sorted({age for age in lengths if age != oldest}, reverse=True)
    return [
        Forgetting(oldest),
        *(Forgetting(age, [state for state, its_age in ages.items() if its_age == age]) for age in younger),
    ]


async def forget(connector: Connector, step: Forgetting) -> int:
    """Forget so long as there is something to forget, a little in each transaction; return how much it was."""
    gone, here = 0, STEP
    while here >= STEP:
        here = await connector.prune(step.older_than, states=step.states, limit=STEP)
        gone += here
    return gone


def _check_age(what: str, age: object) -> None:
    if age is not None and (not isinstance(age, timedelta) or age < timedelta(0)):
        raise InvalidOption(f"{what} {shown(age)} is not a timedelta from 0; None means for ever")
