"""Schedules in a database: many tick, each tick counts once."""

from __future__ import annotations

import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pq_core.job import NewJob
from pq_core.postgres import PsycopgConnector
from pq_core.schedule import Move, NewSchedule

pytestmark = pytest.mark.postgres
PROGRAM = Path(__file__).with_name("ticking_program.py")
START, END = datetime(2031, 1, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)
PROCESSES = 5
SCHEDULES: list[dict[str, Any]] = [
    {"cron": "30 2 * * *", "timezone": "Europe/Paris"},
    {"cron": "0 */6 * * *", "timezone": "America/New_York"},
    {"cron": "*/30 1-2 * * *", "timezone": "Australia/Lord_Howe"},
    {"cron": "0 0 * * 1", "timezone": "UTC"},
]


@pytest.mark.timeout(120)
def test_ten_workers_with_wrong_clocks_make_each_tick_of_a_year_once(dsn: str) -> None:
    """Each tells the store a time that is wrong by up to 90 s, as if it were the store's: in production, none does."""
    seed = str(random.randrange(2**32))
    print(f"seed {seed}")  # noqa: T201 - to do the same again
    schedules = [
        NewSchedule(id=str(number), job=NewJob(task="t"), catch_up="all", **given)
        for number, given in enumerate(SCHEDULES)
    ]
    connector = PsycopgConnector(dsn)
    connector.sync.put_schedules(schedules, now=START)
    commands = [[sys.executable, str(PROGRAM), dsn, f"{seed} {number}"] for number in range(PROCESSES)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for command in commands
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            print(file=worker.stdin, flush=True)
        made = [int(count) for worker in workers for count in worker.communicate(timeout=100)[0].split()]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    connector.sync.close()

    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "select metadata->>'pq.schedule', (metadata->>'pq.tick')::timestamptz from pq.jobs order by 1, 2"
        ).fetchall()
    early = timedelta(seconds=90)  # the last ones to come may have made ticks of the year after
    stored = [(name, tick) for name, tick in rows if tick <= END - early]
    assert stored == [
        (schedule.id, tick)
        for schedule in schedules
        for tick in takewhile(lambda tick: tick <= END - early, schedule.ticks.from_on(START))
    ]
    assert len(set(rows)) == len(rows) == sum(made)
    assert sum(count > 0 for count in made) > 1, "nobody met anybody"


@pytest.fixture
def connector(dsn: str) -> Any:
    connector = PsycopgConnector(dsn)
    yield connector.sync
    connector.sync.close()


def test_a_schedule_in_other_hands_is_left_to_them(dsn: str, connector: Any) -> None:
    connector.put_schedules([NewSchedule(id=name, job=NewJob(task="t"), cron="@daily") for name in "ab"])
    ticked = connector.tick([])
    moves = [Move(id=due.id, revision=due.revision, next_tick=END, ticks=[START]) for due in ticked.due]
    with psycopg.connect(dsn) as other:
        other.execute("select from pq.schedules where id = 'a' for update")
        assert connector.tick(moves).moved == ["b"]
    assert connector.tick(moves).moved == ["a"]


def test_a_unique_key_in_an_open_transaction_holds_up_its_schedule_only(dsn: str, connector: Any) -> None:
    connector.put_schedules(
        [NewSchedule(id=name, job=NewJob(task="t", unique_key=name), cron="@daily") for name in "ab"]
    )
    ticked = connector.tick([])
    moves = [Move(id=due.id, revision=due.revision, next_tick=END, ticks=[START]) for due in ticked.due]
    with psycopg.connect(dsn) as other:
        other.execute("select pq.defer('t', unique_key => 'a')")
        assert connector.tick(moves).moved == ["b"]
        other.rollback()
    assert connector.tick(moves).moved == ["a"]


def test_a_schedule_that_was_spoilt_by_hand_does_not_stop_the_others(dsn: str) -> None:
    import asyncio

    from pq_core.worker.ticking import Ticker

    connector = PsycopgConnector(dsn)
    connector.sync.put_schedules([NewSchedule(id=name, job=NewJob(task="t"), cron="* * * * * *") for name in "ab"])
    with psycopg.connect(dsn) as other:
        other.execute("update pq.schedules set cron = 'x', next_tick = now() - interval '5 s' where id = 'a'")
        other.execute("update pq.schedules set next_tick = now() - interval '5 s' where id = 'b'")

    async def tick() -> list[str]:
        ticker = Ticker(connector=connector, made=[])
        await ticker.tick()
        await connector.close()
        return [tick.schedule for tick in ticker.made or ()]

    made = asyncio.run(tick())
    connector.sync.close()
    assert set(made) == {"b"}
    assert len(made) in (5, 6)
