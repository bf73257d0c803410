import sqlite3
from collections.abc import Iterator

import pytest
from newsletter import app

from pq_testing import Effects, RunJobs


class Shop:
    db: sqlite3.Connection


@pytest.fixture(autouse=True)
def _shop() -> Iterator[None]:
    Shop.db = sqlite3.connect(":memory:", isolation_level=None)
    Shop.db.execute("create table orders (id integer primary key, charged integer, updated_at text)")
    Shop.db.execute("insert into orders values (7, 0, '')")
    yield
    Shop.db.close()


@app.task
def charge(order: int) -> None:
    Shop.db.execute("update orders set charged = charged + 1, updated_at = datetime() where id = ?", [order])


@pytest.mark.pq(redeliver=True)
def test_an_order_is_charged_once(run_jobs: RunJobs, pq_effects: Effects) -> None:
    pq_effects.watch_tables("orders", connection=Shop.db, ignore=["orders.updated_at"])
    charge.defer(7)
    run_jobs()
