"""Empty pq's tables, in one round trip, and say who is in the way."""

from __future__ import annotations

from typing import Any

import psycopg

from pq_core.postgres.statements import quote
from pq_testing.backends.errors import DatabaseInUse

PATIENCE = "3s"
"""How long a reset waits for locks."""
SETTINGS = f"set lock_timeout = '{PATIENCE}'; set pq.inside = on"
"""For the session that resets: the trigger that looks after jobs deleted by hand is silent."""

_EMPTY = """
    delete from {schema}.jobs;
    delete from {schema}.finished_jobs;
    delete from {schema}.workers;
    delete from {schema}.pauses;
    delete from {schema}.unique_periods;
    delete from {schema}.waits;
    delete from {schema}.schedules;
    select setval('{literal}.jobs_id_seq', 1, false);
    select count(*) from pg_inherits where inhparent = '{literal}.finished_jobs'::regclass
"""
_MOST_DAYS = 40
"""Partitions of the history that are kept: a clock that is moved about makes one for each day in which a job ends."""

_HOLDERS = """
    select distinct a.pid, a.state, a.application_name, left(a.query, 200)
    from pg_locks l join pg_stat_activity a using (pid)
    where l.granted and l.pid <> pg_backend_pid()
        and l.database = (select oid from pg_database where datname = current_database())
        and (l.relation in (select c.oid from pg_class c where c.relnamespace = %(schema)s::regnamespace)
            or (l.locktype = 'advisory' and (l.classid::bigint << 32) | l.objid::bigint = %(key)s))
    order by 1 limit 3
"""
_SURPLUS_DAYS = """
    select c.oid::regclass::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = format('%%I.finished_jobs', %(schema)s::text)::regclass
        and c.relname <> all (
            select 'finished_jobs_' || to_char((now() + d * interval '1 day') at time zone 'UTC', 'YYYYMMDD')
            from generate_series(-1, 3) d)
"""


def empty(connection: psycopg.Connection[Any], schema: str) -> None:
    """Delete all jobs, their history, workers and pauses of a schema; the next job has the id 1.

    Args:
        connection: in autocommit, with :data:`SETTINGS`.
        schema: where pq is installed. Nothing else is touched.

    Raises:
        DatabaseInUse: a transaction that is open holds rows or tables of it.
    """
    name = quote(schema)
    text = _EMPTY.format(schema=name, literal=name.replace("'", "''"))
    try:
        cursor = connection.execute(text.encode())
        while cursor.nextset():
            pass
        ((days,),) = cursor.fetchall()
    except psycopg.errors.LockNotAvailable:
        raise DatabaseInUse(
            f"pq could not empty its tables before this test: {holders(connection, schema)}. A transaction that the "
            "test before it, or another process, has left open holds them: end it at the end of that test"
        ) from None
    if days > _MOST_DAYS:
        _drop_days(connection, schema)


def holders(connection: psycopg.Connection[Any], schema: str, key: int = 0) -> str:
    """Say who holds tables of a schema, or the advisory lock `key`: pid, state and query, for people."""
    rows = connection.execute(_HOLDERS, {"schema": quote(schema), "key": key}).fetchall()
    said = [f"process {pid} ({state}, {name!r}, {' '.join(query.split())!r})" for pid, state, name, query in rows]
    return ", ".join(said) or f"somebody, who is gone by now, held them for {PATIENCE}"


def _drop_days(connection: psycopg.Connection[Any], schema: str) -> None:
    for (table,) in connection.execute(_SURPLUS_DAYS, {"schema": schema}).fetchall():
        connection.execute(f"drop table {table}".encode())
