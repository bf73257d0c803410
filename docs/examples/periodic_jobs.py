"""A schedule that code declares, another that is made at run time; a worker ticks both."""

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector())
ticks: list[tuple[str, str]] = []


@app.periodic(cron="* * * * * *", id="each second", args={"what": "second"})
@app.periodic(cron="0 3 * * *", timezone="Europe/Paris", id="nightly", args={"what": "night"}, max_delay={"hours": 2})
@app.task(pass_context=True)
def count(context: pq.JobContext, what: str) -> None:
    ticks.append((context.job.metadata["pq.schedule"], context.job.metadata["pq.tick"]))


@app.task
def stop_when_both_have_ticked() -> None:
    if {schedule for schedule, _ in ticks} == {"each second", "made today"}:
        worker.stop()


worker = pq.Worker(app)

if __name__ == "__main__":
    app.migrate()
    app.schedules.add("made today", count.job(what="today"), cron="*/2 * * * * *")
    app.schedules.add("watch", stop_when_both_have_ticked.job(), cron="* * * * * *")
    worker.run()
    assert len(ticks) == len(set(ticks))  # each tick once, however many workers there are
    for schedule in app.schedules.all():
        print(schedule.id, schedule.cron, schedule.comes_next)
    print(app.schedules.next_ticks("nightly", 3))
    app.schedules.remove("made today")
    app.close()
