"""A task that says itself what becomes of its job, and how far it is."""

import pq_core as pq

app = pq.App(connector=pq.InMemoryConnector())
closed = True


class TooManyRequests(Exception):
    retry_after = 30


def charge_card(card: str) -> int:
    if card == "busy":
        raise TooManyRequests
    return 42


@app.task(pass_context=True, retry=3)
def charge(context: pq.JobContext, card: str) -> int:
    if closed:
        context.snooze({"hours": 8})  # nothing was tried: no attempt is spent
    if card == "stolen":
        context.fail("the card is stolen", no_retry=True)
    if card == "forgotten":
        context.cancel("the customer has paid in cash")
    try:
        return charge_card(card)
    except TooManyRequests as reply:
        context.retry("too many requests", schedule_in=reply.retry_after, queue="slow")


@app.task(pass_context=True, store_result=False)
def export(context: pq.JobContext, pages: int) -> list[str]:
    written = []
    for page in range(pages):
        written.append(f"page {page}")
        context.progress((page + 1) / pages, f"{page + 1} of {pages} pages")
    return written


asleep = charge.defer("fine")
app.run_worker(wait=False)
assert (app.jobs.get(asleep).state, app.jobs.get(asleep).attempt) == (pq.State.SCHEDULED, 0)

closed = False
app.jobs.reschedule(asleep, schedule_in={"seconds": 0})
busy, stolen, forgotten = (charge.defer(card) for card in ("busy", "stolen", "forgotten"))
exported = export.defer(5)
app.run_worker(wait=False)

assert app.jobs.get(asleep).result == 42
job = app.jobs.get(busy)
assert (job.state, job.attempt, job.queue) == (pq.State.SCHEDULED, 1, "slow")
assert job.errors[0]["message"] == "too many requests"
assert "TooManyRequests" in job.errors[0]["traceback"]
job = app.jobs.get(stolen)
assert (job.state, job.attempt, job.errors[0]["message"]) == (pq.State.FAILED, 1, "the card is stolen")
job = app.jobs.get(forgotten)
assert (job.state, job.reason) == (pq.State.CANCELLED, "the customer has paid in cash")
job = app.jobs.get(exported)
assert (job.progress["fraction"], job.progress["message"], job.result) == (1.0, "5 of 5 pages", None)
