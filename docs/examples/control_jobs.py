"""Change many jobs at once, delete personal data, let jobs expire, and pause a task, a queue or everything."""

from datetime import UTC, datetime

import pq_core as pq

app = pq.App(connector=pq.InMemoryConnector())


@app.task(queue="mail")
def send(user: int, text: str) -> str:
    return f"{text} to {user}"


@app.task(queue="reports")
def report(user: int) -> None: ...


if __name__ == "__main__":
    app.defer_many([send.job(user=user % 3, text="news") for user in range(30)])
    app.defer_many([report.job(user=user) for user in range(3)])

    # All that have something in common: looked up and changed a thousand at a time.
    app.jobs.cancel(queue="mail", args={"user": 2}, reason="unsubscribed")
    app.jobs.reschedule(where={"task": send, "state": "ready"}, priority=-5)
    assert app.jobs.count(queue="mail")[pq.State.CANCELLED] == 10

    # Without a trace: jobs that wait or have ended, whatever became of them.
    assert len(app.jobs.delete(args={"user": 2})) == 11

    # Nothing is meant by accident.
    try:
        app.jobs.cancel()
    except pq.InvalidOption as refusal:
        print(refusal)

    # A task, a queue, or everything. Other jobs go on.
    app.jobs.pause(task=send)
    app.run_worker(wait=False)
    assert (app.jobs.count(task=report)[pq.State.SUCCEEDED], app.jobs.count(task=send)[pq.State.SUCCEEDED]) == (2, 0)
    print(app.jobs.pauses())
    app.jobs.resume(task=send)
    app.run_worker(wait=False)
    assert app.jobs.count(task=send)[pq.State.SUCCEEDED] == 20

    # A job that no worker has started in time is cancelled.
    late = send.configure(expires_at=datetime.now(UTC)).defer(user=1, text="too late")
    app.run_worker(wait=False)
    assert app.jobs.get(late).reason == "expired"
