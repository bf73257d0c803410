"""See what jobs change."""

import sqlite3
from collections.abc import Iterator

import pytest
from newsletter import app, send_mail, sent

from pq_testing import Effects, RunJobs


class Shop:
    db: sqlite3.Connection


@pytest.fixture(autouse=True)
def _shop() -> Iterator[None]:
    Shop.db = sqlite3.connect(":memory:", isolation_level=None)
    Shop.db.execute("create table readers (address text primary key, mails int default 0, seen text)")
    Shop.db.execute("insert into readers (address) values ('ada@example.org')")
    yield
    Shop.db.close()


@app.task
def count_mail(address: str) -> None:
    Shop.db.execute("update readers set mails = mails + 1, seen = datetime() where address = ?", [address])


def test_what_a_job_changes_and_nothing_else(run_jobs: RunJobs, pq_effects: Effects) -> None:
    pq_effects.watch_tables("readers", connection=Shop.db, ignore=["readers.seen"])
    pq_effects.watch(sent)
    before = pq_effects.snapshot()

    count_mail.defer("ada@example.org")
    send_mail.defer("ada@example.org")
    run_jobs()

    assert [str(change) for change in pq_effects.changes_since(before)] == [
        "readers['ada@example.org'].mails 0 → 1",
        "sent +1 'Welcome: ada@example.org'",
    ]
