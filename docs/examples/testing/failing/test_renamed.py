# Run with --pq-payloads=payloads
from newsletter import app

from pq_testing import RunJobs


@app.task(name="newsletter.print_issue")
def print_issue(issue: int, copies: int = 100) -> str:  # `issue` was called `number` when the payload was recorded
    return f"{copies} copies of issue {issue}"


def test_an_issue_is_printed(run_jobs: RunJobs) -> None:
    print_issue.defer(7)
    assert run_jobs().succeeded[0].result == "100 copies of issue 7"
