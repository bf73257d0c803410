from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import procrastinate
import pytest
from procrastinate import testing

app = procrastinate.App(connector=procrastinate.PsycopgConnector())
sent: list[str] = []


@app.task
def send_mail(address: str, subject: str = "Welcome") -> None:
    sent.append(f"{subject}: {address}")


@app.task
def remind(address: str) -> None:
    send_mail.defer(address=address, subject="Are you still there?")


def sign_up(address: str) -> None:
    send_mail.defer(address=address)
    remind.configure(schedule_in={"days": 3}).defer(address=address)


@pytest.fixture
def jobs() -> Iterator[dict[int, Any]]:
    connector = testing.InMemoryConnector()
    with app.replace_connector(connector):
        yield connector.jobs


def test_signing_up_sends_a_mail_and_a_reminder(jobs: dict[int, Any]) -> None:
    before = datetime.now(UTC)
    sign_up("ada@example.org")
    reminder = jobs[2]
    assert reminder["args"] == {"address": "ada@example.org"}
    assert abs(reminder["scheduled_at"] - before - timedelta(days=3)) < timedelta(seconds=5)

    app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
    assert sent == ["Welcome: ada@example.org"]

    reminder["scheduled_at"] = before  # there is no clock to turn
    app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
    assert sent[1] == "Are you still there?: ada@example.org"
