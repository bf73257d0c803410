"""A number of runs, waits that grow, and a strategy that moves the job to another queue."""

import pq_core as pq

app = pq.App(connector=pq.InMemoryConnector())
runs: list[str] = []


@app.task(retry=3)
def flaky() -> str:
    runs.append("flaky")
    if len(runs) < 3:
        raise OSError("the line is busy")
    return f"after {len(runs)} runs"


@app.task(
    retry=pq.RetryStrategy(max_attempts=5, exponential_wait=2, jitter=0.3, max_wait=600, retry_exceptions=[OSError])
)
def call_elsewhere() -> None:
    raise ValueError("no exception to be retried")


class ToTheSlowQueue(pq.BaseRetryStrategy):
    def get_retry_decision(self, exception: BaseException, job: pq.Job) -> pq.RetryDecision | None:
        if job.attempt >= 2:
            return None
        return pq.RetryDecision(retry_in={"seconds": 0}, queue="slow", priority=-10, lock=None)


@app.task(retry=ToTheSlowQueue(), lock="press")
def print_book() -> None:
    raise RuntimeError("paper jam")


flaky_id, elsewhere_id, book_id = app.defer_many([flaky.job(), call_elsewhere.job(), print_book.job()])
app.run_worker(wait=False)

assert app.jobs.get(flaky_id).result == "after 3 runs"
assert [error["message"] for error in app.jobs.get(flaky_id).errors] == ["the line is busy"] * 2
assert app.jobs.get(elsewhere_id).attempt == 1
book = app.jobs.get(book_id)
assert (book.state, book.attempt, book.queue, book.lock) == (pq.State.FAILED, 2, "slow", None)
print(*(f"{job.task}: {job.state} after {job.attempt}" for job in app.jobs.find()), sep="\n")

# By hand, after the cause is mended: the job starts over, with all its attempts.
app.jobs.retry(elsewhere_id)
assert app.jobs.get(elsewhere_id).state == pq.State.READY
