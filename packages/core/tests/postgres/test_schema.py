"""Installing and upgrading the schema."""

from __future__ import annotations

import secrets
import subprocess
import sys

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pq_core import App, Unique
from pq_core.errors import InvalidOption, SchemaMissing, SchemaTooNew
from pq_core.job import NewJob
from pq_core.postgres import PsycopgConnector
from pq_core.postgres.schema import functions, migrations, script
from pq_testing.postgres import server


def catalog(dsn: str, schema: str = "pq") -> dict[str, object]:
    """Describe all that stands in a schema, but for what time brings (oids, partitions, dates)."""
    queries = {
        "columns": """
            select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                a.attgenerated, pg_get_expr(d.adbin, d.adrelid)
            from pg_class c join pg_attribute a on a.attrelid = c.oid
            left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
            where c.relnamespace = %s::regnamespace and a.attnum > 0 and c.relkind in ('r', 'v', 'p')
                and not c.relispartition
            order by 1, a.attnum""",
        "indexes": """
            select indexname, replace(indexdef, %s::text || '.', '') from pg_indexes where schemaname = %s
            order by 1""",
        "functions": """
            select p.proname, pg_get_function_arguments(p.oid), p.prosrc, p.prosecdef, p.proacl::text, p.proconfig
            from pg_proc p where p.pronamespace = %s::regnamespace order by 1""",
        "triggers": """
            select tgname, tgtype from pg_trigger t join pg_class c on c.oid = t.tgrelid
            where c.relnamespace = %s::regnamespace order by 1""",
        "views": "select viewname, replace(definition, %s::text || '.', '') from pg_views where schemaname = %s",
        "installed": f'select name, hash from "{schema}".functions order by 1',
        "migrations": f'select version, name from "{schema}".migrations order by 1',
    }
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set search_path = ''")
        return {
            name: connection.execute(query.encode(), [schema] * query.count("%s")).fetchall()
            for name, query in queries.items()
        }


def test_what_was_just_installed_is_current_and_applying_again_changes_nothing(empty_dsn: str) -> None:
    connector = PsycopgConnector(empty_dsn).sync
    names = [file.name for file in (*migrations(), *functions())]
    assert connector.migrate() == names
    assert connector.check().current
    before = catalog(empty_dsn)
    assert connector.migrate() == []
    assert catalog(empty_dsn) == before


def test_the_printed_sql_installs_the_same_and_may_be_run_again(empty_dsn: str, dsn: str) -> None:
    for _ in range(2):
        with psycopg.connect(empty_dsn, autocommit=True) as connection:
            connection.execute(script("pq").encode())
        assert catalog(empty_dsn) == catalog(dsn)
    assert PsycopgConnector(empty_dsn).sync.check().current


def test_an_older_schema_once_upgraded_is_the_same_as_a_fresh_one(empty_dsn: str, dsn: str) -> None:
    connector = PsycopgConnector(empty_dsn).sync
    connector.migrate()
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute(
            "create or replace function pq.announce(queues text[], ids bigint[], alone boolean default false)"
            " returns void language sql as 'select null::void'"
        )
        connection.execute("drop function pq.prune; delete from pq.functions where name = 'prune'")
        connection.execute("update pq.functions set hash = 'older' where name = 'announce'")
    status = connector.check()
    assert (status.version, status.missing, status.outdated) == (migrations()[-1].number, [], ["announce", "prune"])
    assert connector.migrate() == ["announce", "prune"]
    assert catalog(empty_dsn) == catalog(dsn)


def test_ten_processes_may_install_at_once(empty_dsn: str, dsn: str) -> None:
    code = (
        "import sys; from pq_core.postgres import PsycopgConnector; "
        "print(len(PsycopgConnector(sys.argv[1]).sync.migrate()))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, empty_dsn], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(10)
    ]
    answers = [(*process.communicate(timeout=50), process.returncode) for process in processes]
    assert sorted(int(out) for out, _, _ in answers) == [0] * 9 + [len(migrations()) + len(functions())], answers
    assert catalog(empty_dsn) == catalog(dsn)


def test_two_schemas_of_one_database_are_two_queues(dsn: str) -> None:
    here, there = PsycopgConnector(dsn), PsycopgConnector(dsn, schema='the other "%s" one')
    there.sync.migrate()
    with_one = here.sync.defer([NewJob(task="here"), NewJob(task="here")])
    assert [deferred.id for deferred in with_one] == [1, 2]
    assert [deferred.id for deferred in there.sync.defer([NewJob(task="there")])] == [1]
    assert there.sync.cancel([1, 2])[0].id == 1
    assert [sum(side.sync.queues()[0].counts.values()) for side in (here,)] == [2]
    assert there.sync.queues() == []
    for side in (here, there):
        side.sync.close()


def test_a_schema_that_is_not_there_is_reported_with_the_way_out(empty_dsn: str) -> None:
    connector = PsycopgConnector(empty_dsn, schema="elsewhere").sync
    with pytest.raises(SchemaMissing, match=r"'elsewhere'.*pq schema apply"):
        connector.check()
    with pytest.raises(SchemaMissing, match=r"'elsewhere'.*pq schema apply"):
        connector.defer([NewJob(task="t")])
    connector.close()


def test_a_schema_of_a_later_version_is_refused_and_left_alone(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("insert into pq.migrations (version, name) values (9999, '9999_from_the_future')")
    before = catalog(dsn)
    connector = PsycopgConnector(dsn).sync
    for verb in (connector.check, connector.migrate):
        with pytest.raises(SchemaTooNew, match=r"version 9999.*upgrade pq-core"):
            verb()
    assert catalog(dsn) == before


@pytest.mark.parametrize("name", ["", "x" * 64, "é" * 32, "a\x00b", "pg_queue"])
def test_a_name_that_no_schema_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidOption, match="schema"):
        PsycopgConnector(schema=name)


def test_a_temporary_table_does_not_stand_in_for_the_jobs(session: psycopg.Connection) -> None:
    session.execute("create temporary table jobs (like pq.jobs)")
    session.execute("set search_path = pg_temp, pq")
    session.execute("select pq.defer('t')")
    assert session.execute("select count(*) from pg_temp.jobs").fetchone() == (0,)
    assert session.execute("select count(*) from pq.jobs").fetchone() == (1,)


def test_a_role_needs_to_be_told_that_it_may_defer_and_then_can_do_only_that(session: psycopg.Connection) -> None:
    session.execute("drop role if exists pq_test_shop")
    session.execute("create role pq_test_shop")
    session.execute("grant usage on schema pq to pq_test_shop")
    try:
        session.execute("set role pq_test_shop")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("select pq.defer('t')")
        session.execute("reset role")
        session.execute("grant execute on function pq.defer to pq_test_shop")
        session.execute("set role pq_test_shop")
        assert session.execute("select pq.defer('t')").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("select * from pq.jobs")
    finally:
        session.execute("reset role; drop owned by pq_test_shop; drop role pq_test_shop")


def test_a_role_that_is_no_superuser_installs_pq_runs_jobs_and_edits_them() -> None:
    role = f"owner_{secrets.token_hex(4)}"
    with server().fresh_database() as dsn, psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"create role {role}")
        admin.execute(f"grant create on database {admin.info.dbname} to {role}")
        plain = make_conninfo(dsn, options=f"-c role={role}")
        app = App(connector=PsycopgConnector(plain))
        ran: list[int] = []

        @app.task(lock="one", unique=Unique(scope="live", on_conflict="skip"), name="t")
        def task(n: int) -> None:
            ran.append(n)

        try:
            app.migrate()
            ids = [task.defer(n) for n in (1, 2, 3, 3)]
            with psycopg.connect(plain, autocommit=True) as owner:
                owner.execute("update pq.jobs set state = 'cancelled' where id = %s", [ids[1]])
            assert app.jobs.get(ids[1]).state == "cancelled"
            app.run_worker(wait=False, install_signal_handlers=False)
            assert (ran, app.jobs.get(ids[2]).state) == ([1, 3], "succeeded")
        finally:
            app.close()
            admin.execute(f"drop owned by {role} cascade; drop role {role}")
