"""Where the time of one job goes: ``python -m pq_benchmarks.profile [--jobs N] [--write FILE]``.

Each step of the worker's path is run alone, over and over, on what the steps before it gave, by the code that a worker
runs; then a worker drains the same jobs, so that it shows how much of the whole these steps are. Times are those of a
CPU, in microseconds per job; of a step, the least of all repeats, which other programs have disturbed the least.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import psycopg

import pq_core as pq
from pq_benchmarks.server import BenchServer, durable_server
from pq_benchmarks.stage import QUICK
from pq_benchmarks.surroundings import describe
from pq_core.answers import Fetched
from pq_core.job import Job
from pq_core.outcome import Outcome
from pq_core.postgres.statements import Statement, Statements
from pq_core.worker.executor import Executor
from pq_core.worker.journal import Journal
from pq_core.worker.options import Settings
from pq_core.worker.run import Run
from pq_core.worker.slots import Slots
from pq_core.worker.threads import Threads
from pq_core.worker_info import WorkerInfo

BATCH = Settings().batch
REPEATS = 30
JOBS = 60_000
CONCURRENCY = 50
WORKER = 1

app = pq.App(connector=pq.InMemoryConnector())


@app.task(name="noop")
async def noop(i: int) -> None:
    """Do nothing."""


@attrs.frozen
class Step:
    """One step of a job's way.

    Attributes:
        name: what is done.
        where: who does it: ``worker`` or ``PostgreSQL``.
        code: the file that says how.
        us: microseconds of a CPU, per job.
    """

    name: str
    where: str
    code: str
    us: float


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="pq_benchmarks.profile", description="Show where the time of a job goes.")
    parser.add_argument("--jobs", type=int, default=JOBS, help="that the worker drains")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table there, too")
    options = parser.parse_args()
    logging.disable(logging.DEBUG)
    with durable_server() as server:
        fetched, finished = in_the_database(server)
        steps = [*fetched, *asyncio.run(in_the_worker()), *finished]
        whole = drain(server, options.jobs)
        surroundings = describe(server, QUICK) | {"profile": f"{options.jobs:,} jobs drained"}
        text = table(steps, whole, surroundings)
    print(text)
    if options.write:
        options.write.write_text(text + "\n", encoding="utf-8")


def in_the_database(server: BenchServer) -> tuple[list[Step], list[Step]]:
    """Measure fetches and finishes of batches, on both ends of a connection; the commit apart from the statement."""
    statements = Statements("pq")
    with server.database("profile", filled(REPEATS * BATCH)) as dsn, psycopg.connect(dsn) as connection:
        run(connection, statements.heartbeat(WorkerInfo(id=WORKER), timedelta(hours=1), (), None))
        connection.commit()
        fetches: list[Spent] = []
        finishes: list[Spent] = []
        for _ in range(REPEATS):
            spent, fetched = run(connection, statements.fetch(WORKER, None, BATCH, None))
            fetches.append(spent)
            outcomes = [Outcome.succeeded(job) for job in fetched.jobs]
            spent, _ = run(connection, statements.finish(outcomes, None))
            finishes.append(spent)
    fetch, finish = least(fetches), least(finishes)
    fetched = [
        Step("fetch: find and claim", "PostgreSQL", "pq_core/postgres/functions/fetch.sql", fetch.statement),
        Step("fetch: commit", "PostgreSQL", "", fetch.commit),
        Step("fetch: wire, and rows into Python", "worker", "psycopg", fetch.client),
    ]
    finished = [
        Step("finish: move to the history", "PostgreSQL", "pq_core/postgres/functions/finish.sql", finish.statement),
        Step("finish: commit", "PostgreSQL", "", finish.commit),
        Step("finish: wire", "worker", "psycopg", finish.client),
    ]
    return fetched, finished


async def in_the_worker() -> list[Step]:
    """Measure what Python does between a row and the parameters of `finish`."""
    moment = "2026-01-01 00:00:00+00"
    rest = ("default", 0, None, "ordered", 1, 1, 0, 3, moment, moment, moment, None, None, "[]", "{}", *[None] * 4)
    rows = [(i, "noop", f'{{"i":{i}}}', *rest) for i in range(1, BATCH + 1)]
    read = Statements("pq").fetch(WORKER, None, BATCH, None).read
    jobs: Sequence[Job] = read([*rows, (None,) * 22]).jobs
    runs = [Run(job, 0.0) for job in jobs]
    executor = Executor(app, worker_name="w", keep="all", threads=Threads(), journal=Journal("w"))
    await executor.execute(runs[0])  # makes the plan
    outcomes = [Outcome.succeeded(job) for job in jobs]
    begin = best(lambda: [executor.begin(run) for run in runs])
    call = best(lambda: [copy_context().run(_step, job.args) for job in jobs])
    outcome = best(lambda: [Outcome.succeeded(job) for job in jobs])
    finish = best(lambda: Statements("pq").finish(outcomes, None))
    return [
        Step("rows into jobs", "worker", "pq_core/postgres/jobs.py", best(lambda: read([*rows, (None,) * 22]))),
        Step("line: a slot for each, its clock, room for more", "worker", "pq_core/worker/slots.py", await line(runs)),
        Step("plan, arguments, context, journal", "worker", "pq_core/worker/executor.py", begin - call - outcome),
        Step("the call itself, in a context of its own", "worker", "your code", call),
        Step("outcome", "worker", "pq_core/outcome.py", outcome),
        Step("outcomes into parameters", "worker", "pq_core/postgres/statements.py", finish),
    ]


def _step(args: dict[str, Any]) -> None:
    try:
        noop.func(**args).send(None)
    except StopIteration:
        return


async def line(runs: Sequence[Run]) -> float:
    """Return what the slots take for a job whose run takes nothing."""
    outcome = Outcome.succeeded(runs[0].job)
    ended: list[Outcome] = []
    slots = Slots(
        concurrency=CONCURRENCY, most_ahead=2 * BATCH, begin=lambda _: outcome, done=ended.append, room=lambda: None
    )
    runners = asyncio.ensure_future(slots.run())
    jobs = [run.job for run in runs]
    taken: list[float] = []
    for _ in range(REPEATS):
        ended.clear()
        before = time.process_time()
        slots.put(jobs)
        while len(ended) < len(jobs):  # noqa: ASYNC110 - the turns of the loop are a part of it
            await asyncio.sleep(0)
        taken.append(time.process_time() - before)
    runners.cancel()
    await asyncio.wait([runners])
    return min(taken) / len(jobs) * 1e6


@attrs.frozen
class Spent:
    """Microseconds of CPU per job of one batch: of the backend in the statement and its commit, and of the client."""

    statement: float
    commit: float
    client: float


def run(connection: psycopg.Connection[Any], statement: Statement[Any]) -> tuple[Spent, Any]:
    """Run a statement in a transaction; return what it took, and what its answer means."""
    pid = connection.info.backend_pid
    cursor = connection.cursor()
    cursor.execute("select")
    before, client = backend_cpu(pid), time.process_time()
    rows = cursor.execute(statement.text, statement.parameters, prepare=True).fetchall()
    client, after = time.process_time() - client, backend_cpu(pid)
    connection.commit()
    spent = Spent(after - before, backend_cpu(pid) - after, client * 1e6)
    answer = statement.read(rows)
    count = len(answer.jobs) if isinstance(answer, Fetched) else len(answer)
    return Spent(*(us / max(count, 1) for us in attrs.astuple(spent))), answer


def backend_cpu(pid: int) -> float:
    """Return the microseconds of CPU that a process has used. Linux alone tells them so exactly."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e3


def least(each: Sequence[Spent]) -> Spent:
    """Return the least of each figure."""
    return Spent(*map(min, zip(*map(attrs.astuple, each), strict=True)))


def best(act: Callable[[], object]) -> float:
    """Return what `act` takes for each job of a batch."""
    taken: list[float] = []
    for _ in range(REPEATS):
        gc.collect()
        before = time.process_time()
        act()
        taken.append(time.process_time() - before)
    return min(taken) / BATCH * 1e6


def filled(jobs: int) -> Callable[[str], None]:
    """Return what fills a database with so many jobs."""

    def fill(dsn: str) -> None:
        app.connector = pq.PsycopgConnector(dsn)
        app.migrate()
        for _ in range(0, jobs, BATCH):
            noop.batch_defer([{"i": i} for i in range(BATCH)])
        app.close()

    return fill


def drain(server: BenchServer, jobs: int) -> tuple[float, float]:
    """Let a worker run so many jobs; return what it took of its CPU, and of PostgreSQL's, for each."""
    with server.database(f"profile {jobs}", filled(jobs)) as dsn:
        app.connector = pq.PsycopgConnector(dsn)
        worker = pq.Worker(app, concurrency=CONCURRENCY, wait=False, install_signal_handlers=False)
        cpu, client = server.cpu_seconds(), time.process_time()
        worker.run()
        client, cpu = time.process_time() - client, server.cpu_seconds() - cpu
        app.close()
    return client / jobs * 1e6, cpu / jobs * 1e6


def table(steps: Sequence[Step], whole: tuple[float, float], surroundings: dict[str, str]) -> str:
    """Return all that as a table, with the machine named."""
    lines = [f"- {name}: {said}" for name, said in surroundings.items()]
    lines += ["", "| step | code | µs per job |", "|---|---|---|"]
    for where, all_of_it in zip(("worker", "PostgreSQL"), whole, strict=True):
        own = [step for step in steps if step.where == where]
        lines += [f"| {step.name} | {_code(step.code)} | {step.us:.2f} |" for step in own]
        rest = all_of_it - sum(step.us for step in own)
        lines.append(f"| {_REST[where]} | | {rest:.2f} |")
        lines.append(f"| **{where}, all in all** | | **{all_of_it:.2f}** |")
    return "\n".join(lines)


_REST = {
    "worker": "the rest: event loop, pool, heartbeats, collection of garbage, the start",
    "PostgreSQL": "the rest: WAL writer, checkpoints, autovacuum, connections, heartbeats",
}


def _code(name: str) -> str:
    return f"`{name}`" if "/" in name else name


if __name__ == "__main__":
    main()
