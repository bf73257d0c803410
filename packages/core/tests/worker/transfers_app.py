"""The app of test_transfers.py: each job moves money between two accounts, and enters its id into a journal."""

from __future__ import annotations

import os
import sys

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector(os.environ.get("TRANSFERS_DSN", "")))
TAKE = "update accounts set balance = balance - %s where id = %s"
GIVE = "update accounts set balance = balance + %s where id = %s"
ENTER = "insert into transfers (job, pid) values (%s, pg_backend_pid())"


@app.task(name="move", pass_context=True, delivery="transactional", max_losses=1_000)
def move(context: pq.JobContext, source: int, target: int, amount: int) -> None:
    connection = context.connection
    for text, account in sorted([(TAKE, source), (GIVE, target)], key=lambda step: step[1]):
        connection.execute(text, [amount, account])
    connection.execute(ENTER, [context.job.id])


@app.task(name="move_async", pass_context=True, delivery="transactional", max_losses=1_000)
async def move_async(context: pq.JobContext, source: int, target: int, amount: int) -> None:
    connection = context.connection
    for text, account in sorted([(TAKE, source), (GIVE, target)], key=lambda step: step[1]):
        await connection.execute(text, [amount, account])
    await connection.execute(ENTER, [context.job.id])


if __name__ == "__main__":
    app.run_worker(lease=float(sys.argv[1]), concurrency=6, poll_interval=0.2, batch=50)
