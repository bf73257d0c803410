"""No class of psycopg's reaches a caller of pq, and what is wrong is called by its name."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any

import psycopg
import pytest

from pq_core.connector import JobFilter, WorkerInfo
from pq_core.errors import ConnectorError, InvalidOption, SchemaMissing, WrongConnection
from pq_core.job import NewJob
from pq_core.postgres import PsycopgConnector
from pq_core.postgres.faults import translate
from pq_core.postgres.statements import Statement

pytestmark = pytest.mark.anyio


class Place(StrEnum):
    HERE = "pq"


@pytest.mark.parametrize(
    "options, words",
    [
        ({"schema": 5}, "schema 5"),
        ({"schema": None}, "schema None"),
        ({"schema": ""}, "schema ''"),
        ({"schema": "\ud800"}, "schema .* surrogate"),
        ({"schema": "nul\0"}, "schema .* NUL"),
        ({"schema": "ü" * 32}, "1 to 63 bytes"),
        ({"min_size": "1"}, "min_size '1'"),
        ({"min_size": 1.5}, r"min_size 1\.5"),
        ({"min_size": True}, "min_size True"),
        ({"max_size": None}, "max_size None"),
        ({"max_size": 0}, "max_size 0"),
        ({"timeout": -1}, "timeout -1"),
        ({"timeout": 0}, "timeout 0"),
        ({"timeout": "5"}, "timeout '5'"),
        ({"timeout": None}, "timeout None"),
        ({"timeout": float("nan")}, "timeout nan"),
        ({"timeout": 1e300}, r"timeout 1e\+300"),
        ({"dsn": 5}, "is a int"),
        ({"dsn": None}, "is a NoneType"),
        ({"dsn": b"dbname=x"}, "is a bytes"),
        ({"dsn": "dbname=nul\0"}, "NUL"),
        ({"password": "nul\0"}, "NUL"),
        ({"dsn": "dbname=\ud800"}, "libpq"),
        ({"dsn": "no dsn"}, "libpq"),
        ({"password": "\ud800"}, "libpq"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_an_option_that_cannot_be_is_refused_when_it_is_given(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        PsycopgConnector(**options)


@pytest.mark.parametrize("size", ["1", 1.5, True, -1])
def test_a_pool_of_another_size_is_checked_too(size: Any) -> None:
    with pytest.raises(InvalidOption, match="min_size"):
        PsycopgConnector().with_pool(min_size=size)


def test_a_schema_may_be_a_member_of_an_enum(dsn: str) -> None:
    connector = PsycopgConnector(dsn, schema=Place.HERE)
    assert type(connector.schema) is str
    assert connector.sync.find(JobFilter()) == []
    connector.sync.close()


@pytest.mark.parametrize(
    "query",
    [
        "select * from pq.jobs where queue = 5",
        "select 1 / 0",
        "selekt",
        "select 'x'::int",
        "select * from pq.cancel(array[true]::bigint[], 'x', null)",
        "insert into pq.jobs (queue) values (null)",
        "select 2::bigint ^ 9e300",
    ],
)
def test_no_fault_of_a_query_leaks_or_is_taken_for_a_missing_schema(session: psycopg.Connection, query: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        session.execute(query.encode())
    told = translate(caught.value, "pq")
    assert isinstance(told, ConnectorError)
    assert not isinstance(told, SchemaMissing)
    assert str(caught.value.diag.message_primary) in str(told)


@pytest.mark.parametrize(
    "query",
    [
        "select pq.no_such_function(1)",
        "select * from pq.no_such_table",
        "select no_such_column from pq.jobs",
        "create table no_such_schema.t ()",
    ],
)
def test_what_is_not_there_is_put_down_to_a_schema_that_is_missing_or_old(
    session: psycopg.Connection, query: str
) -> None:
    with pytest.raises(psycopg.Error) as caught:
        session.execute(query.encode())
    assert isinstance(translate(caught.value, "pq"), SchemaMissing)


async def test_every_verb_says_that_pq_is_not_installed(empty_dsn: str) -> None:
    connector = PsycopgConnector(empty_dsn)
    for call in (
        connector.defer([NewJob(task="t")]),
        connector.defer([NewJob(task="t"), NewJob(task="t")]),
        connector.find(JobFilter(queue="q", lock="l")),
        connector.cancel([1]),
        connector.heartbeat(WorkerInfo(id=1), timedelta(1)),
        connector.fetch(1, None, 1),
        connector.prune(None),
    ):
        with pytest.raises(SchemaMissing, match="pq schema apply"):
            await call
    await connector.close()


async def test_what_the_database_refuses_is_an_error_of_pq(
    connector: PsycopgConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: Statement[Any] = Statement("select 'x'::int", [], lambda rows: rows)
    monkeypatch.setattr(connector._link.statements, "queues", lambda _: broken)
    with pytest.raises(ConnectorError, match="22P02"):
        await connector.queues()
    with pytest.raises(ConnectorError, match="22P02"):
        connector.sync.queues()
    connector.sync.close()


async def test_a_text_that_the_callers_encoding_lacks_is_refused_and_its_transaction_goes_on(
    connector: PsycopgConnector, dsn: str
) -> None:
    job = NewJob(task="日本")
    async with await psycopg.AsyncConnection.connect(dsn, client_encoding="latin1") as theirs:
        with pytest.raises(WrongConnection, match="encoding"):
            await connector.defer([job], connection=theirs)
        await connector.defer([NewJob(task="schön")], connection=theirs)
    with (
        psycopg.connect(dsn, client_encoding="latin1") as sync_theirs,
        pytest.raises(WrongConnection, match="encoding"),
    ):
        connector.sync.defer([job], connection=sync_theirs)
    assert [found.task for found in await connector.find(JobFilter())] == ["schön"]
    connector.sync.close()
