"""No job survives the rollback of what it belongs to."""

from typing import Any

import pytest
from newsletter import send_mail

from pq_testing import RunJobs


def subscribe(address: str, connection: Any) -> None:
    """The code under test. In life, it stores the reader on the same connection."""
    send_mail.configure(connection=connection).defer(address)


def test_a_rollback_takes_the_mail_with_it(run_jobs: RunJobs) -> None:
    with run_jobs.rolls_back() as connection:
        subscribe("ada@example.org", connection)


def subscribe_carelessly(address: str, connection: Any) -> None:
    """Forgets connection=, so the mail goes out whatever becomes of the reader."""
    send_mail.defer(address)


def test_a_mail_outside_of_the_transaction_is_found_out(run_jobs: RunJobs) -> None:
    with pytest.raises(AssertionError, match="1 job outlived the rollback"), run_jobs.rolls_back() as connection:
        subscribe_carelessly("ada@example.org", connection)
