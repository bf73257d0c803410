from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

TESTS = """
import pytest
import shop

def test_unseen(run_jobs):
    shop.broken.defer()
    shop.mail.defer(to="a")
    run_jobs(on_error="record")

def test_seen(run_jobs):
    shop.broken.defer()
    assert run_jobs(on_error="record").failed[0].task == "broken"

def test_raised(run_jobs):
    shop.broken.defer()
    with pytest.raises(RuntimeError, match="it broke"):
        run_jobs()

def test_left():
    shop.mail.defer(to="a")

def test_left_and_asserted(run_jobs):
    shop.mail.defer(to="a")
    run_jobs.deferred.one(shop.mail)

def test_run(run_jobs):
    shop.mail.defer(to="a")
    run_jobs()
"""


def test_an_error_of_a_job_at_which_nobody_looked_fails_the_test_with_its_own_traceback(
    shop: pytest.Pytester, run: Run
) -> None:
    shop.makepyfile(test_it=TESTS)
    result = run("-v", "--show-capture=no")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*::test_unseen FAILED*",
            '>       raise RuntimeError("it broke")',
            "E       RuntimeError: it broke",
            "E       pq: job 1 (broken) failed with this error, and the test has not looked: assert on it, *",
            "shop.py:*: RuntimeError",
        ]
    )
    for inside in ("*pluggy/*", "*pq_core/*", "*pq_testing/*"):
        result.stdout.no_fnmatch_line(inside)


def test_pending_also_fails_a_test_that_leaves_jobs_which_never_ran(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(test_it=TESTS)
    result = run("-v", "--pq-strict=pending")
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(
        ["pq: never ran, and nothing was asserted about it: job 1 (mail, ready). Run it with run_jobs(), assert *"]
    )


def test_off_lets_every_job_be_left(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(test_it=TESTS)
    run("--pq-strict=off").assert_outcomes(passed=6)


def test_the_error_of_the_test_itself_goes_before(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(
        """
        import pytest
        import shop

        def test_it(run_jobs):
            shop.broken.defer()
            run_jobs(on_error="record")
            assert 1 == 2

        def test_skipping(run_jobs):
            shop.broken.defer()
            run_jobs(on_error="record")
            pytest.skip("not today")
        """
    )
    result = run()
    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.fnmatch_lines(["E       assert 1 == 2"])


def test_a_test_that_is_expected_to_fail_may_fail_so(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(
        """
        import pytest
        import shop

        @pytest.mark.xfail(raises=RuntimeError, strict=True)
        def test_it(run_jobs):
            shop.broken.defer()
            run_jobs(on_error="record")
        """
    )
    run().assert_outcomes(xfailed=1)


def test_methods_of_unittest_are_held_to_it_too(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(
        """
        import unittest

        import pytest
        import shop

        class SomeTest(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def use(self, run_jobs):
                self.run_jobs = run_jobs

            def test_it(self):
                shop.broken.defer()
                self.run_jobs(on_error="record")

            def test_that_none_is_left(self):
                self.assertEqual(shop.mail.defer(to="a"), 1)
        """
    )
    result = run()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["E       RuntimeError: it broke"])
