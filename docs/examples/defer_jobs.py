"""One job, many jobs, jobs for later, and jobs that the queue refuses."""

from datetime import UTC, datetime

import pq_core as pq

app = pq.App(connector=pq.InMemoryConnector())


@app.task(queue="sums", lock="till")
def add(a: int, b: int = 0) -> int:
    return a + b


@app.task
def report(queue: str) -> None: ...


# One job. Arguments go by position or by name, as in a call.
add.defer(3, 5)
add.defer(a=3, b=5)

# Other options for this job only. What is not given stays as the task has it; lock=None switches the lock off.
add.configure(queue="urgent", priority=10, lock=None).defer(3, 5)

# For later: after a while, or not before a moment.
add.configure(schedule_in={"hours": 1, "minutes": 30}).defer(3, 5)
add.configure(schedule_at=datetime(2100, 1, 1, tzinfo=UTC)).defer(3, 5)

# Many jobs of one task, or of several: one statement, all or none.
ids = add.batch_defer([{"a": n, "b": 1} for n in range(1000)])
assert len(ids) == 1000
app.defer_many([add.job(3, 5), report.job(queue="an argument, not an option")])

# What does not fit is refused here, not in the worker.
try:
    add.defer(3, c=5)
except pq.InvalidArguments as refusal:
    print(refusal)
try:
    add.batch_defer([{"a": 1}, {"a": {2}}])
except pq.InvalidArguments as refusal:
    print(refusal)
    assert refusal.index == 1

assert sum(app.jobs.count().values()) == 1007
