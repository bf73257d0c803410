import pytest
from django.db import connection
from newsletter import app, send_mail, sent
from readers.models import Reader, sign_up

from pq_testing import RunJobs

pytestmark = pytest.mark.django_db


@app.task
def forget(address: str) -> None:
    Reader.objects.filter(address=address).delete()


def test_a_reader_gets_a_mail(run_jobs: RunJobs) -> None:
    sent.clear()
    sign_up("ada@example.org")
    run_jobs.deferred_in(connection).one(send_mail, address="ada@example.org")
    run_jobs(connection=connection)
    assert sent == ["Welcome: ada@example.org"]


def test_a_task_uses_djangos_orm(run_jobs: RunJobs) -> None:
    sign_up("ada@example.org")
    forget.configure(connection=connection).defer("ada@example.org")
    run_jobs(connection=connection)
    assert not Reader.objects.exists()


def test_nothing_is_left(run_jobs: RunJobs) -> None:
    assert not Reader.objects.exists()
    assert list(run_jobs.deferred_in(connection)) == []
