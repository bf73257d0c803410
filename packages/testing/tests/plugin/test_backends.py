from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

TESTS = """
import pytest
import shop

def test_with_jobs(app, run_jobs, pq_clock):
    print("on", run_jobs.harness.backend)
    if run_jobs.harness.backend == "postgres":  # a worker that dies shall take no other's connection with it
        assert run_jobs.harness.hand_connector() is not app.connector
    assert shop.mail.configure(schedule_in={"hours": 1}).defer(to="a") == 1
    assert not run_jobs().runs
    pq_clock.advance(hours=1)
    assert run_jobs().names == ["mail"]

@pytest.mark.parametrize("number", [1, 2])
def test_unasked(number):
    print("on", type(shop.app.connector).__name__)
    assert shop.mail.defer(to="a") == 1
"""


@pytest.fixture(autouse=True)
def _programs_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PQ_TEST_DSN", raising=False)


@pytest.mark.postgres
def test_every_test_runs_on_both_backends(shop: pytest.Pytester, run_apart: Run) -> None:
    shop.makepyfile(test_it=TESTS)
    result = run_apart("-v", "-s", "--pq-backend=all", "--pq-require-postgres")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        [
            "*::test_with_jobs?memory? on memory",
            "*::test_with_jobs?postgres? on postgres",
            "*::test_unasked*on Backend*",
        ]
    )


@pytest.mark.postgres
def test_workers_of_xdist_have_a_database_each(shop: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("xdist")
    shop.makepyfile(test_it=TESTS.replace("[1, 2]", "range(8)"))
    result = run_apart("-p", "xdist", "-n2", "--pq-backend=postgres", "--pq-require-postgres")
    result.assert_outcomes(passed=9)


@pytest.mark.postgres
def test_a_mark_says_on_which_backend_a_test_runs_whatever_the_options_say(
    shop: pytest.Pytester, run_apart: Run
) -> None:
    shop.makepyfile(
        test_it="""
        import pytest
        import shop

        @pytest.mark.pq(backend="memory")
        def test_memory(run_jobs):
            assert run_jobs.harness.backend == "memory"

        @pytest.mark.pq(backend="postgres")
        def test_postgres(run_jobs):
            assert run_jobs.harness.backend == "postgres"

        @pytest.mark.pq(backend="all")
        def test_all(request, run_jobs):
            assert request.node.name == f"test_all[{run_jobs.harness.backend}]"

        def test_other(run_jobs):
            assert run_jobs.harness.backend == "postgres"
        """
    )
    run_apart("--pq-backend=postgres", "--pq-require-postgres").assert_outcomes(passed=5)


@pytest.mark.postgres
def test_an_application_that_a_session_wide_lifespan_opens_works_on_postgresql(
    shop: pytest.Pytester, run_apart: Run
) -> None:
    shop.makepyfile(
        test_it="""
        import pytest
        import shop

        @pytest.fixture(scope="session", autouse=True)
        def lifespan():
            with shop.app:
                yield
            print("opened", shop.Untouchable.opened)

        @pytest.mark.parametrize("number", range(3))
        def test_it(run_jobs, number):
            assert shop.mail.defer(to="a") == 1
            assert run_jobs().names == ["mail"]
        """
    )
    result = run_apart("-s", "--pq-backend=postgres", "--pq-require-postgres")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*opened False"])


@pytest.mark.postgres
def test_a_test_may_have_a_fresh_database(shop: pytest.Pytester, run_apart: Run) -> None:
    shop.makepyfile(
        test_it="""
        import psycopg
        import pytest
        import shop

        names = []

        @pytest.mark.parametrize("number", range(2))
        @pytest.mark.pq(backend="postgres", fresh_database=True)
        def test_fresh(run_jobs, pq_postgres, pq_dsn, number):
            with psycopg.connect(pq_postgres.dsn) as connection:
                names.append(connection.info.dbname)
                connection.execute("create table mine()")
            assert shop.mail.defer(to="a") == 1
            assert run_jobs().names == ["mail"]

        def test_that_they_are_gone(pq_dsn):
            with psycopg.connect(pq_dsn) as connection:
                assert connection.info.dbname not in names
                there = [name for (name,) in connection.execute("select datname from pg_database")]
            assert len(set(names)) == 2
            assert not set(names) & set(there)
        """
    )
    run_apart("--pq-require-postgres").assert_outcomes(passed=3)


@pytest.mark.postgres
def test_a_database_of_the_user_gets_the_schema_of_pq_beside_its_tables(shop: pytest.Pytester, run_apart: Run) -> None:
    shop.makeconftest(
        """
        import psycopg
        import pytest
        from pq_testing.postgres import fresh_database

        @pytest.fixture(scope="session")
        def pq_dsn():
            with fresh_database() as dsn:
                with psycopg.connect(dsn) as connection:
                    connection.execute("create table orders (id int)")
                    connection.execute("insert into orders values (7)")
                yield dsn
        """
    )
    shop.makepyfile(
        test_it="""
        import psycopg
        import pytest
        import shop

        @pytest.fixture
        def connection(pq_dsn):
            with psycopg.connect(pq_dsn) as connection:
                yield connection
                connection.rollback()

        @pytest.mark.parametrize("number", range(2))
        @pytest.mark.pq(backend="postgres")
        def test_it(run_jobs, connection, number):
            assert connection.execute("select id from orders").fetchall() == [(7,)]
            shop.mail.configure(connection=connection).defer(to="a")
            assert not run_jobs().runs
            assert run_jobs(connection=connection).names == ["mail"]
        """
    )
    run_apart("--pq-require-postgres").assert_outcomes(passed=2)


@pytest.mark.postgres
def test_chaos_comes_to_postgresql_too(shop: pytest.Pytester, run_apart: Run) -> None:
    path = shop.path / "shop.py"
    path.write_text(
        path.read_text(encoding="utf-8")
        + "\n@app.task(name='pay')\nasync def pay() -> None:\n    mails.append('paid')\n",
        encoding="utf-8",
    )
    shop.makepyfile(
        test_it="""
        import pytest
        import shop

        @pytest.mark.pq(backend="all", crash="everywhere")
        def test_crash(run_jobs):
            shop.mails.clear()
            shop.pay.defer()
            run_jobs()
            assert len(shop.mails) == 1

        @pytest.mark.pq(backend="all", redeliver=True)
        def test_redelivery(run_jobs, pq_effects):
            shop.mails.clear()
            pq_effects.watch(shop.mails)
            shop.pay.defer()
            run_jobs()
        """
    )
    result = run_apart("--pq-require-postgres")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*test_crash?postgres?*", "E*AssertionError*", "pq replay: *test_crash?postgres?*"])


def test_methods_of_unittest_run_in_memory_when_all_backends_are_asked_for(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(
        """
        import unittest
        import shop

        class SomeTest(unittest.TestCase):
            def test_it(self):
                self.assertIn("InMemory", type(shop.app.connector).__name__)
        """
    )
    run("--pq-backend=all").assert_outcomes(passed=1)


def test_a_test_that_uses_no_jobs_is_not_run_twice(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_it(): pass")
    run("--pq-backend=all").assert_outcomes(passed=1)


NOTHING = """
import pytest
from pq_testing.backends.errors import PostgresNotAvailable

@pytest.fixture(autouse=True, scope="session")
def nothing():
    from pq_testing.backends import discovery

    def dsn(self):
        raise PostgresNotAvailable("no PostgreSQL for tests: tried this, and that")

    discovery.Databases.dsn = dsn
"""


def test_without_postgresql_a_test_is_skipped_with_one_line_that_says_what_was_tried(
    shop: pytest.Pytester, run_apart: Run
) -> None:
    shop.makeconftest(NOTHING)
    shop.makepyfile(test_it=TESTS)
    result = run_apart("-ra", "--pq-backend=all")
    result.assert_outcomes(passed=3, skipped=3)
    result.stdout.fnmatch_lines(["SKIPPED ?2?*: no PostgreSQL for tests: tried this, and that"])


def test_where_postgresql_is_required_its_absence_is_a_failure(shop: pytest.Pytester, run_apart: Run) -> None:
    shop.makeconftest(NOTHING)
    shop.makepyfile(test_it=TESTS)
    result = run_apart("--pq-backend=postgres", "--pq-require-postgres")
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["no PostgreSQL for tests: tried this, and that (pq_require_postgres)"])


@pytest.mark.parametrize("dsn", ["None", "'nonsense x y'", "'host=127.0.0.1 port=1'"])
def test_a_database_that_cannot_be_had_is_one_paragraph(shop: pytest.Pytester, run: Run, dsn: str) -> None:
    shop.makeconftest(f"import pytest\n@pytest.fixture\ndef pq_dsn(): return {dsn}\n")
    shop.makepyfile("def test_it(run_jobs): pass")
    result = run("--pq-backend=postgres")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["pq: the PostgreSQL for tests does not work: *see pq_dsn, pq_postgres)"])
    result.stdout.no_fnmatch_line("*During handling*")
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.postgres
def test_the_server_of_pytest_postgresql_is_asked_for_by_its_fixture(shop: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("pytest_postgresql")
    shop.makeconftest(
        """
        import types

        import pytest
        from psycopg.conninfo import conninfo_to_dict
        from pq_testing.postgres import server

        @pytest.fixture(scope="session")
        def postgresql_proc():
            facts = conninfo_to_dict(server().dsn())
            print("asked for")
            return types.SimpleNamespace(
                host=facts["host"], port=facts.get("port", 5432), user=facts["user"], password=facts.get("password")
            )
        """
    )
    shop.makepyfile(test_it=TESTS)
    options = ("-s", "--pq-backend=postgres", "--pq-postgres=pytest-postgresql", "--pq-require-postgres")
    result = run_apart(*options)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*asked for*"])


@pytest.mark.postgres
def test_postgresql_under_trio_says_why_not(shop: pytest.Pytester, run_apart: Run) -> None:
    shop.makepyfile(
        test_it="""
        import pytest
        import shop

        @pytest.fixture
        def anyio_backend(): return "trio"

        @pytest.mark.anyio
        @pytest.mark.pq(backend="postgres")
        async def test_it(run_jobs):
            await shop.mail.defer_async(to="a")
            await run_jobs.run_async()
        """
    )
    result = run_apart("-p", "anyio.pytest_plugin", "--pq-require-postgres")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E   *trio*"])


@pytest.mark.postgres
@pytest.mark.parametrize("mode", ["strict", "auto", "anyio"])
def test_async_tests_run_on_postgresql(shop: pytest.Pytester, run_apart: Run, mode: str) -> None:
    plugin = "anyio.pytest_plugin" if mode == "anyio" else "pytest_asyncio.plugin"
    pytest.importorskip(plugin)
    shop.makepyfile(
        test_it=f"""
        import pytest
        import shop

        @pytest.fixture
        def anyio_backend(): return "asyncio"

        @pytest.mark.parametrize("number", range(3))
        {"@pytest.mark.anyio" if mode == "anyio" else "@pytest.mark.asyncio"}
        async def test_it(run_jobs, number):
            assert await shop.mail.defer_async(to="a") == 1
            assert (await run_jobs.run_async()).names == ["mail"]
            assert shop.mail.defer(to="b") == 2
            assert run_jobs().names == ["mail"]
        """
    )
    options = () if mode == "anyio" else (f"--asyncio-mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function")
    run_apart("-p", plugin, *options, "--pq-backend=all", "--pq-require-postgres").assert_outcomes(passed=6)
