"""One set of jobs for a whole session: expensive to fill, and looked at by many tests."""

from collections.abc import Iterator

import pytest
from newsletter import app, remind, send_issue, send_mail

from pq_testing import RunJobs, using

READERS = [f"reader-{n}@example.org" for n in range(1000)]


@pytest.fixture(scope="session")
def issue() -> Iterator[RunJobs]:
    with using(app) as run_jobs:
        send_issue.defer(7, READERS)
        run_jobs()
        yield run_jobs


def test_everybody_gets_a_mail(issue: RunJobs) -> None:
    assert len(issue.deferred.all(send_mail)) == len(READERS)


def test_nobody_is_reminded(issue: RunJobs) -> None:
    issue.deferred.none(remind)
