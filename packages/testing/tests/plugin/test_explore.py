from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

RACE = """
import anyio
import pytest
import shop
from pq_testing import pq_explore

@shop.app.task(name="count")
async def count() -> None:
    seen = shop.counter
    await anyio.sleep(0)
    shop.counter = seen + 1

@pytest.fixture
def two():
    return 2

@pq_explore(workers=2)
def test_a_race(run_jobs, two):
    shop.counter = 0
    for _ in range(two):
        count.defer()
    run_jobs()
    assert shop.counter == two

@pq_explore
def test_no_race(run_jobs):
    shop.mails.clear()
    for to in "ab":
        shop.mail.defer(to=to)
    run_jobs()
    assert sorted(shop.mails) == ["a", "b"]
"""


def test_a_marked_test_is_explored(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(test_it=RACE)
    result = run("-v")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*::test_a_race FAILED*", "*::test_no_race PASSED (*schedules*)*"])
    result.stdout.fnmatch_lines(
        ["E       assert 1 == 2", "E       pq_explore: schedule * is the first that fails*", "*worker 1 * worker 2"]
    )


def test_exploration_stays_in_memory(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(test_it=RACE)
    for backend in ("all", "postgres"):
        run(f"--pq-backend={backend}", "-k", "no_race").assert_outcomes(passed=1, deselected=1)


@pytest.mark.parametrize(
    "test, said",
    [
        (
            "@pq_explore\ndef test_it(): pass",
            "test_it has @pq_explore, but no jobs *: let it take the fixture run_jobs.",
        ),
        ("@pq_explore(replay='x')\ndef test_it(run_jobs): run_jobs()", "@pq_explore: *"),
    ],
)
def test_what_cannot_be_explored_is_told_what_to_write(
    pytester: pytest.Pytester, run: Run, test: str, said: str
) -> None:
    pytester.makepyfile(f"from pq_testing import pq_explore\n{test}\n")
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([said])
    result.stdout.no_fnmatch_line("*During handling*")


def test_an_async_test_cannot_be_explored(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("from pq_testing import pq_explore\n@pq_explore\nasync def test_it(run_jobs): pass\n")
    result = run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["E   *test_it is async, *: write `def` and run_jobs()"])
