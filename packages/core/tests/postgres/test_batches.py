"""A batch of jobs that are alike, given once for all, beside the same batch with every field given for each job."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

CALL = (
    "select ids, statuses from pq.defer_many(%s::text[], %s::text[], %s::text[], %s::smallint[], %s::text[],"
    " %s::text[], %s::timestamptz[], %s::float8[], %s::smallint[], %s::text[], %s::timestamptz, %s::text[], %s::int[],"
    " expires_ats => %s::timestamptz[], expires_ins => %s::float8[])"
)
PLAIN: dict[str, Any] = {
    "task": "t",
    "queue": "default",
    "priority": 0,
    "lock": None,
    "lock_mode": "ordered",
    "scheduled_at": None,
    "delay": None,
    "max_losses": 3,
    "metadata": "{}",
    "now": "2030-01-01 12:00+00",
    "delivery": "at_least_once",
    "version": 1,
    "expires_at": None,
    "expires_in": None,
}
STORED = (
    "select args ->> 'n', queue, task, priority, lock, lock_mode, state, scheduled_at, created_at, max_losses,"
    " metadata::text, delivery, version, unique_key, unique_scope, expires_at from jobs order by id"
)


def defer(session: psycopg.Connection, args: list[str | None], times: int, **fields: Any) -> tuple[Any, Any]:
    """Store a job for each of `args`, with its other fields given so many times; return ids and statuses."""
    columns: list[Any] = [value if name == "now" else [value] * times for name, value in (PLAIN | fields).items()]
    columns.insert(1, args)
    ((ids, statuses),) = session.execute(CALL.encode(), columns).fetchall()
    return ids, statuses


def stored(session: psycopg.Connection) -> list[tuple[Any, ...]]:
    found = session.execute(STORED.encode()).fetchall()
    session.execute("delete from jobs")
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"queue": "mail", "priority": -7, "max_losses": 1, "metadata": '{"by":  "me"}'},
        {"lock": "l", "lock_mode": "mutex"},
        {"delay": 60.5},
        {"scheduled_at": "2029-12-31 00:00+00", "delay": 60},
        {"scheduled_at": "2030-01-02 00:00+00"},
        {"delivery": "at_most_once", "version": 2},
        {"expires_at": "2031-01-01 00:00+00", "expires_in": 5},
        {"expires_in": 5.5},
    ],
    ids=str,
)
def test_what_is_given_once_for_all_is_stored_as_if_given_for_each(
    session: psycopg.Connection, fields: dict[str, Any]
) -> None:
    args: list[str | None] = [f'{{"n": {n}}}' for n in (3, 1, 2)]
    ids, statuses = defer(session, args, 1, **fields)
    once = stored(session)
    more, _ = defer(session, args, 3, **fields)
    assert once == stored(session)
    assert [row[0] for row in once] == ["3", "1", "2"]
    assert statuses is None
    assert [*ids, *more] == list(range(ids[0], ids[0] + 6))


@pytest.mark.parametrize("count", [1, 2, 10, 11, 200])
def test_what_is_told_of_a_batch_does_not_depend_on_how_it_was_given(dsn: str, count: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("listen pq")
        for times in (1, count):
            ids, _ = defer(session, ["{}"] * count, times, queue="mail")
            (told,) = session.notifies(timeout=10, stop_after=1)
            kind, _, named, queue = told.payload.split(":")
            wanted = ",".join(map(str, ids)) if count <= 10 else f"{ids[0]}-{ids[-1]}"
            assert (kind, named, queue) == ("queue", wanted, "mail")


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("args, state", [(["{}", None], "23502"), (["{}", "no json"], "22P02"), ([], "23502")], ids=str)
def test_a_batch_with_arguments_that_are_none_is_refused_as_a_whole(
    session: psycopg.Connection, args: list[str | None], state: str, times: int
) -> None:
    with pytest.raises(psycopg.Error) as caught:
        defer(session, args, times)
    assert caught.value.sqlstate == state
    assert stored(session) == []
