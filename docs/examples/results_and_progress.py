"""Wait for jobs, read what they returned, and see how far they are."""

import threading
import time

import pq_core as pq

app = pq.App(connector=pq.InMemoryConnector())
looked_at = threading.Event()


@app.task
def add(a: int, b: int) -> int:
    return a + b


@app.task(pass_context=True)
def export(context: pq.JobContext, pages: int) -> dict[str, int]:
    for page in range(pages):
        context.progress(page / pages, f"page {page + 1} of {pages}")
        looked_at.wait()  # the work; here it takes until somebody has looked
    context.progress(1.0, "done")
    return {"pages": pages}


@app.task(store_result=False)
def render(page: int) -> str:
    return f"<h1>Page {page}</h1>" * 1_000  # of use where it was made, but nobody reads it in the queue


# In production this is another process: `pq worker`.
worker = pq.Worker(app)
thread = threading.Thread(target=worker.run)
thread.start()

# Defer, wait, read.
job = app.jobs.wait(add.defer(1, 2), timeout=10)
assert (job.state, job.result) == (pq.State.SUCCEEDED, 3)
assert app.jobs.wait(render.defer(1), timeout=10).result is None

# See how far a job is. The worker tells of that once a second.
handle = app.jobs.handle(export.defer(3))
while not (progress := handle.get().progress):
    time.sleep(0.05)
print(f"{progress['fraction']:.0%} at {progress['at']}: {progress['message']}")
looked_at.set()

job = handle.wait(timeout={"seconds": 10})
assert job.result == {"pages": 3}
assert job.progress["message"] == "done"

# Who waits too long gets an error; the job goes on as if nobody had waited.
tomorrow = add.configure(schedule_in={"days": 1}).defer(3, 4)
try:
    app.jobs.wait(tomorrow, timeout=0.1)
except pq.WaitTimedOut as late:
    print(late)

worker.stop()
thread.join()
