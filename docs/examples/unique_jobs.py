"""Forty edits of one page, and it is indexed once: with the last of its texts."""

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector())
indexed: list[tuple[int, str]] = []


@app.task(unique=pq.Unique(args=["page"], on_conflict="replace"))
def index(page: int, text: str) -> None:
    indexed.append((page, text))


@app.task(queueing_lock="report")
def report() -> None: ...


if __name__ == "__main__":
    app.migrate()
    # Each edit takes the place of the one that waits, and lets it wait half a second more.
    soon = index.configure(schedule_in={"milliseconds": 500})
    ids = {soon.defer(page=7, text=f"draft {number}") for number in range(40)}
    assert len(ids) == 1

    first = report.defer()
    try:
        report.defer()
    except pq.AlreadyDeferred as refused:
        print(refused)
        assert refused.job_id == first

    results = app.defer_many([index.job(page=7, text="final"), index.job(page=8, text="new")], results=True)
    print([result.status for result in results])

    app.run_worker(wait=False)
    print(indexed)
    assert indexed == [(7, "final"), (8, "new")]
