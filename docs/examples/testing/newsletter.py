"""The app that the tests beside it test."""

import anyio

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector())  # No test comes near it.
sent: list[str] = []  # Stands for the mail server.


@app.task(queue="mail")
def send_mail(address: str, subject: str = "Welcome") -> str:
    sent.append(f"{subject}: {address}")
    return "sent"


@app.task
def remind(address: str) -> None:
    send_mail.defer(address, subject="Are you still there?")


def sign_up(address: str) -> None:
    """The code under test: a mail now, a reminder in three days."""
    send_mail.defer(address)
    remind.configure(schedule_in={"days": 3}).defer(address)


@app.task
def send_issue(number: int, addresses: list[str]) -> None:
    send_mail.batch_defer({"address": address, "subject": f"Issue {number}"} for address in addresses)


@app.task(retry=pq.RetryStrategy(max_attempts=3, wait=60))
def count_readers(url: str) -> None:
    raise ConnectionError(f"{url} does not answer")


@app.task
async def wait_for_post(hours: int) -> str:
    await anyio.sleep(hours * 3600)
    return "the post is there"
