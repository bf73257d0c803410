"""What suites do that nobody had in mind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]


@pytest.mark.parametrize(
    "module, cause",
    [
        ("class Odd(BaseException): pass\nraise Odd('no')", "Odd: no"),
        ("import pytest\npytest.skip('not here', allow_module_level=True)", "Skipped: not here"),
        ("def app(): ...", "*is a function, not an App"),
    ],
)
def test_whatever_the_module_of_the_app_raises_is_one_error(
    pytester: pytest.Pytester, run: Run, module: str, cause: str
) -> None:
    pytester.makeini("[pytest]\npq_app = odd:app\n")
    pytester.makepyfile(odd=module, test_it="def test_it(): pass")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: pq: pq_app = odd:app is no App: {cause}. Name it like *pq_app_factory*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_ctrl_c_while_the_app_is_imported_is_none_of_its_errors(pytester: pytest.Pytester, run_apart: Run) -> None:
    pytester.makeini("[pytest]\npq_app = odd:app\n")
    pytester.makepyfile(odd="raise KeyboardInterrupt", test_it="def test_it(): pass")
    assert run_apart().ret == pytest.ExitCode.INTERRUPTED


def test_a_block_that_a_fixture_of_wider_scope_keeps_open_holds_for_all_tests_that_use_it_and_no_others(
    shop: pytest.Pytester, run: Run
) -> None:
    shop.makepyfile(
        """
        import unittest

        import pytest
        from pq_testing import using
        from shop import app, mail

        @pytest.fixture(scope="session")
        def all_jobs():
            with using(app) as run_jobs:
                yield run_jobs

        @pytest.fixture(scope="class")
        def shared(all_jobs):
            mail.defer(to="the class")
            return all_jobs

        class TestTogether:
            def test_one(self, shared):
                assert shared().count("mail") == 1
                mail.defer(to="the next")

            def test_two(self, run_jobs, shared):
                assert run_jobs is shared
                mail.defer(to="me")
                assert [run.job.args["to"] for run in run_jobs()] == ["the next", "me"]

        def test_alone(run_jobs):
            mail.defer(to="me")
            assert run_jobs().count() == len(run_jobs.deferred.all()) == 1

        def test_unasked():
            mail.defer(to="nobody")

        def test_together_again(all_jobs):
            assert app.connector is all_jobs.connector
            assert all_jobs().count() == 0

        class Test(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                cls.run_jobs = cls.enterClassContext(using(app))

            def test_one(self):
                mail.defer(to="the next")

            def test_two(self):
                assert self.run_jobs().count() == 1
        """
    )
    run().assert_outcomes(passed=7)
