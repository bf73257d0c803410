"""Find, count, cancel, reschedule and retry jobs, and pause a queue."""

import pq_core as pq

app = pq.App(connector=pq.InMemoryConnector())


@app.task(queue="mail")
def send(to: str) -> str:
    if not to:
        raise ValueError("nobody to send to")
    return f"sent to {to}"


if __name__ == "__main__":
    first = send.defer("ada@example.org")
    broken = send.defer("")
    later = send.configure(schedule_in={"days": 1}).defer("grace@example.org")
    unwanted = send.configure(schedule_in={"days": 2}).defer("nobody@example.org")
    app.run_worker(wait=False)

    assert app.jobs.get(first).result == "sent to ada@example.org"
    (failed,) = app.jobs.find(task=send, state="failed")
    print(failed.id, failed.errors[-1]["type"], failed.errors[-1]["message"])

    print(app.jobs.cancel(unwanted, reason="the account was closed"))
    print(app.jobs.reschedule(later, schedule_in={"seconds": 0}, priority=5))
    print(app.jobs.retry([job.id for job in app.jobs.find(state="failed")]))

    app.jobs.pause("mail")
    app.run_worker(wait=False)
    assert app.jobs.get(later).state == "ready"
    app.jobs.resume("mail")
    app.run_worker(wait=False)
    assert app.jobs.get(later).state == "succeeded"

    counts = app.jobs.count(queue="mail")
    assert (counts[pq.State.SUCCEEDED], counts[pq.State.FAILED], counts[pq.State.CANCELLED]) == (2, 1, 1)
