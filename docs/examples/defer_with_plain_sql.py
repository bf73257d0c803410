"""Jobs that a trigger defers, in the database itself. Needs PostgreSQL, found by libpq's environment (PGHOST, ...)."""

from pathlib import Path

import psycopg

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector())


@app.task(name="shop.ship", queue="shipping")
def ship(order: int) -> str:
    return f"order {order} is on its way"


with app.open(), psycopg.connect() as session:
    app.migrate()
    session.execute(Path(__file__).with_suffix(".sql").read_bytes())  # as `psql --file` does
    session.commit()
    session.execute("insert into orders values (6, 'eve')")
    session.rollback()  # and the job of that order never was
    session.execute("insert into orders values (7, 'ada')")
    session.commit()

    (job,) = app.jobs.find(task=ship)
    assert (job.args, job.queue, job.lock, job.state) == ({"order": 7}, "shipping", "customer ada", "scheduled")
    assert len(app.jobs.find(task="shop.remind")) == 2
    app.jobs.reschedule([job.id], schedule_in={"seconds": 0})
    app.run_worker(wait=False, queues=["shipping"])
    print(app.jobs.get(job.id).result)
