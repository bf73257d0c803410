"""See who works, forget old jobs by how they ended, and ask what somebody should look into."""

from datetime import timedelta

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector())


@app.task
def add(a: int, b: int) -> int:
    for worker in app.workers():
        print(worker.info.name, worker.info.details["host"], "runs", worker.running, "jobs")
    return a + b


if __name__ == "__main__":
    app.migrate()
    add.defer(1, 2)
    app.run_worker(
        wait=False,
        name="adder",
        retention={
            "succeeded": timedelta(days=7),
            "failed": timedelta(days=90),
            "cancelled": timedelta(days=7),
        },
    )

    health = app.health()
    print(health.live_rows, "live rows,", health.dead_rows, "dead ones,", health.size, "bytes")
    for pin in health.pins:
        print(pin, "keeps vacuum back for", pin.age)
    for finding in health.findings:
        print("look into this:", finding)

    app.connector.sync.prune(timedelta(0), states=[pq.State.SUCCEEDED])
    assert app.jobs.find() == []
    app.close()
