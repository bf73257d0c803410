"""A queue of django-postgres-queue, moved. Needs PostgreSQL, found by libpq's environment (PGHOST, ...)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import django
from django.conf import settings
from django.db import close_old_connections, connection, models, transaction

import pq_core as pq

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",  # on psycopg 3, which it prefers
            "NAME": os.environ["PGDATABASE"],
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "USER": os.environ["PGUSER"],
        }
    },
)
django.setup()


class Account(models.Model):
    balance = models.IntegerField()

    class Meta:
        app_label = "bank"

    def __str__(self) -> str:
        return f"account {self.pk}"


@contextmanager
def atomic() -> Iterator[object]:
    try:
        with transaction.atomic():
            yield connection  # that of this thread, which the models use as well
    finally:
        close_old_connections()  # as after a request: CONN_MAX_AGE decides


app = pq.App(connector=pq.PsycopgConnector(transactions=atomic))


# AtLeastOnceQueue: the job is gone when its work is committed, and not before.
@app.task(delivery="transactional", retry=pq.RetryStrategy(max_attempts=5, exponential_wait=2))
def deposit(account: int, amount: int) -> None:
    Account.objects.filter(pk=account).update(balance=models.F("balance") + amount)


# AtMostOnceQueue: the job never runs again, whatever becomes of this run.
@app.task(delivery="at_most_once")
def send_letter(account: int) -> None:
    print(f"Dear owner of {account}, ...")


with app.open():
    app.migrate()
    with connection.schema_editor() as editor:
        editor.create_model(Account)

    with transaction.atomic():  # queue.enqueue("deposit", {...}), and what belongs to it
        account = Account.objects.create(balance=100)
        deposit.configure(connection=connection).defer(account=account.pk, amount=20)
        later = send_letter.configure(connection=connection, schedule_in=timedelta(0), priority=5)
        later.defer(account=account.pk)

    app.run_worker(wait=False)
    account.refresh_from_db()
    assert account.balance == 120
    assert [job.state for job in app.jobs.find()] == ["succeeded", "succeeded"]
connection.close()
