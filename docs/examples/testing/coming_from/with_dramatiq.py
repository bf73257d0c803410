from collections.abc import Iterator
from unittest import mock

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

broker = StubBroker()
dramatiq.set_broker(broker)
sent: list[str] = []


@dramatiq.actor(max_retries=0)
def send_mail(address: str, subject: str = "Welcome") -> None:
    sent.append(f"{subject}: {address}")


@dramatiq.actor(max_retries=0)
def remind(address: str) -> None:
    send_mail.send(address, subject="Are you still there?")


def sign_up(address: str) -> None:
    send_mail.send(address)
    remind.send_with_options(args=(address,), delay=3 * 86_400_000)


@pytest.fixture
def worker() -> Iterator[dramatiq.Worker]:
    worker = dramatiq.Worker(broker, worker_timeout=100)  # real threads
    worker.start()
    yield worker
    worker.stop()
    broker.flush_all()


def test_signing_up_sends_a_mail_and_a_reminder(worker: dramatiq.Worker) -> None:
    with mock.patch.object(remind, "send_with_options") as deferred:  # else join() would wait for three days
        sign_up("ada@example.org")
    broker.join(send_mail.queue_name)
    worker.join()
    assert sent == ["Welcome: ada@example.org"]
    deferred.assert_called_once_with(args=("ada@example.org",), delay=3 * 86_400_000)

    remind.send("ada@example.org")
    broker.join(remind.queue_name)
    worker.join()
    assert sent[1] == "Are you still there?: ada@example.org"
