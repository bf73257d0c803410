from newsletter import count_readers

from pq_testing import RunJobs


def test_readers_are_counted_sooner_or_later(run_jobs: RunJobs) -> None:
    count_readers.defer("https://example.org")
    run_jobs(until="1h", on_error="record")
