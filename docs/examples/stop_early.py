"""A synchronous task that can be stopped: it asks, and leaves off where the next run goes on."""

import threading

import pq_core as pq

app = pq.App(connector=pq.InMemoryConnector())
done: set[int] = set()
half_way = threading.Event()


@app.task(pass_context=True)
def index(context: pq.JobContext, pages: int) -> None:
    for page in range(pages):
        if context.should_stop():
            return
        if page not in done:
            done.add(page)
            half_way.set()
            threading.Event().wait(0.001)  # the work


number = index.defer(300)

# The worker is stopped in the midst of it and grants no time: the job goes back to its queue.
worker = pq.Worker(app, graceful_timeout=0)
threading.Thread(target=lambda: half_way.wait() and worker.stop()).start()
worker.run()
assert app.jobs.get(number).state == pq.State.READY
assert 0 < len(done) < 300

# Another worker goes on where the first one left off.
app.run_worker(wait=False)
assert app.jobs.get(number).state == pq.State.SUCCEEDED
assert len(done) == 300
