"""A worker that dies on PostgreSQL: at each point of a job that has a connection and a transaction of its own."""

from __future__ import annotations

import pytest

PROJECT = """
    import psycopg
    import pytest
    import pq_core as pq

    app_under_test = pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


    @pytest.fixture(scope="session")
    def pq_app_factory():
        return app_under_test


    @pytest.fixture
    def orders(pq_dsn):
        with psycopg.connect(pq_dsn, autocommit=True) as connection:
            connection.execute("create table if not exists orders (id int primary key, charged int)")
            connection.execute("truncate orders; insert into orders values (7, 0)")
            yield connection


    @app_under_test.task(name="charge")
    async def charge(dsn: str, to: str) -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            await connection.execute("select * from orders where id = 7 for update")
            await connection.execute(f"update orders set charged = {to} where id = 7")


    @pytest.mark.pq(backend="postgres", crash="everywhere")
    @pytest.mark.parametrize("to", ["1", "charged + 1"], ids=["once", "each_time"])
    def test_an_order_is_charged_once(run_jobs, orders, pq_dsn, to):
        charge.defer(dsn=pq_dsn, to=to)
        run_jobs()
        assert orders.execute("select charged from orders").fetchone() == (1,)
"""


def test_a_worker_that_dies_frees_what_its_job_has_locked_and_a_charge_that_is_not_idempotent_is_found(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(PROJECT)
    off = [word for name in ("asyncio", "django", "flask", "randomly", "postgresql") for word in ("-p", f"no:{name}")]
    result = pytester.runpytest_subprocess("-W", "error", *off, timeout=50)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*assert (2,) == (1,)", "a worker died at point *: await * of charge*"])
