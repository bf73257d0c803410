"""The real worker, told to return when nothing is left to run."""

from newsletter import app, send_mail, sent

from pq_testing import RunOnceWorker


def test_ten_threads_at_once() -> None:
    send_mail.batch_defer({"address": f"reader-{n}@example.org"} for n in range(20))
    RunOnceWorker(app, concurrency=10).run()
    assert len(sent) == 20
