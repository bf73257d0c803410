"""A library's tasks, in an app that the library does not know."""

import pq_core as pq

# In the library:
mails = pq.Blueprint()
sent: list[str] = []


@mails.task(name="send", queue="mails")
def send(to: str) -> None:
    sent.append(to)


def greet(people: list[str]) -> None:
    for person in people:
        send.defer(to=person)  # goes to the one app that includes the blueprint


# In the program:
app = pq.App(connector=pq.InMemoryConnector())
app.add_tasks_from(mails, namespace="mails")

greet(["Ada", "Grace"])
assert [job.task for job in app.jobs.find()] == ["mails:send", "mails:send"]
app.run_worker(wait=False)
assert sorted(sent) == ["Ada", "Grace"]

# A second app may include it too; from then on it must be said which one is meant.
other = pq.App(connector=pq.InMemoryConnector())
other.add_tasks_from(mails, namespace="post")
try:
    send.defer(to="Edsger")
except pq.TaskNotBound as refusal:
    print(refusal)
other.tasks["post:send"].defer(to="Edsger")
assert len(other.jobs.find()) == 1
