from collections.abc import Iterator
from unittest import mock

import pytest
from celery import Celery

app = Celery("newsletter")
sent: list[str] = []


@app.task
def send_mail(address: str, subject: str = "Welcome") -> None:
    sent.append(f"{subject}: {address}")


@app.task
def remind(address: str) -> None:
    send_mail.delay(address, subject="Are you still there?")


def sign_up(address: str) -> None:
    send_mail.delay(address)
    remind.apply_async([address], countdown=3 * 86400)


@pytest.fixture
def _eager() -> Iterator[None]:
    app.conf.update(task_always_eager=True, task_eager_propagates=True)  # no JSON, no broker, no back-off
    yield
    app.conf.update(task_always_eager=False, task_eager_propagates=False)


@pytest.mark.usefixtures("_eager")
def test_signing_up_sends_a_mail_and_a_reminder() -> None:
    with mock.patch.object(remind, "apply_async") as deferred:  # eager would run it at once
        sign_up("ada@example.org")
    assert sent == ["Welcome: ada@example.org"]
    deferred.assert_called_once_with(["ada@example.org"], countdown=3 * 86400)

    remind("ada@example.org")
    assert sent[1] == "Are you still there?: ada@example.org"
