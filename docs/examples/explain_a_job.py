"""Ask why a job does not run."""

import pq_core as pq
from pq_core import causes

app = pq.App(connector=pq.InMemoryConnector())


@app.task(queue="accounts")
def settle(account: int) -> None: ...


@app.task(queue="accounts")
def close(account: int) -> None:
    explanation = app.jobs.explain(second)
    print(explanation)
    held, *_ = explanation.causes
    assert isinstance(held, causes.LockHeld)
    assert held.job_id == first


if __name__ == "__main__":
    first = close.configure(lock="account 4").defer(4)
    second = settle.configure(lock="account 4").defer(4)
    later = settle.configure(schedule_in={"days": 1}).defer(5)
    app.connector.sync.pause("accounts")

    print(app.jobs.explain(first))
    kinds = [type(cause).__name__ for cause in app.jobs.explain(first).causes]
    assert kinds == ["Paused", "QueueUnserved"]

    app.connector.sync.resume("accounts")
    app.run_worker(wait=False, concurrency=1)
    (scheduled, unserved) = app.jobs.explain(later).causes
    assert isinstance(scheduled, causes.Scheduled)
    print(app.jobs.explain(second))
