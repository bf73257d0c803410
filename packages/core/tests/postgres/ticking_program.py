"""Two of the ten workers of test_schedules: they tick through a year, each by a wrong clock of its own.

Prints, for each of them, how many ticks it has made.
"""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta

from pq_core.postgres import PsycopgConnector
from pq_core.worker.ticking import Ticker

START, END = datetime(2031, 1, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)
STEP = timedelta(hours=24)


async def tick_through_the_year(dsn: str, rng: random.Random) -> int:
    skew = timedelta(seconds=rng.uniform(-90, 90))
    connector = PsycopgConnector(dsn, max_size=1)
    ticker = Ticker(connector=connector, made=[])
    now = START
    while now < END:
        now += STEP * rng.uniform(0.8, 1.0)
        await ticker.tick(min(now, END) + skew)
    await connector.close()
    return len(ticker.made or ())


async def main(dsn: str, seed: str) -> None:
    print("ready", flush=True)  # noqa: T201 - the test waits for it
    sys.stdin.readline()
    rngs = [random.Random(f"{seed} {number}") for number in range(2)]
    made = await asyncio.gather(*(tick_through_the_year(dsn, rng) for rng in rngs))
    print(*made)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
