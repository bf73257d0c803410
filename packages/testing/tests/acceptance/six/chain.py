from shop import charge, gateway, send

from pq_testing import RunJobs


def test_a_chain_runs_to_its_end(run_jobs: RunJobs) -> None:
    charge.defer(7)
    report = run_jobs()
    assert report.names == ["charge", "pack", "send"]
    assert report.count(send) == 1
    assert report.runs[-1].result == "order 7 goes to ada@example.org"
    assert gateway.charged.pop(7) == 1
