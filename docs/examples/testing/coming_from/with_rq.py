from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fakeredis import FakeStrictRedis
from rq import Queue, SimpleWorker
from rq.registry import ScheduledJobRegistry

sent: list[str] = []
queue = Queue(connection=FakeStrictRedis())  # for tests; else redis.Redis()


def send_mail(address: str, subject: str = "Welcome") -> None:
    sent.append(f"{subject}: {address}")


def remind(address: str) -> None:
    queue.enqueue(send_mail, address, subject="Are you still there?")


def sign_up(address: str) -> None:
    queue.enqueue(send_mail, address)
    queue.enqueue_in(timedelta(days=3), remind, address)


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    yield
    queue.connection.flushall()


def test_signing_up_sends_a_mail_and_a_reminder() -> None:
    sign_up("ada@example.org")
    SimpleWorker([queue], connection=queue.connection).work(burst=True)
    assert sent == ["Welcome: ada@example.org"]

    registry = ScheduledJobRegistry(queue=queue)
    (job_id,) = registry.get_job_ids()
    in_three_days = datetime.now(UTC) + timedelta(days=3)
    assert abs(registry.get_scheduled_time(job_id) - in_three_days) < timedelta(seconds=5)
    job = queue.fetch_job(job_id)
    assert (job.func_name.rpartition(".")[2], job.args) == ("remind", ("ada@example.org",))

    registry.remove(job_id)  # there is no clock to turn
    queue.enqueue_job(job)
    SimpleWorker([queue], connection=queue.connection).work(burst=True)
    assert sent[1] == "Are you still there?: ada@example.org"
