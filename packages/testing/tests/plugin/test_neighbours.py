"""Other plugins that teams have: each in a process of its own, with warnings as errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

MANY = """
import pytest
import shop

@pytest.mark.parametrize("number", range(8))
def test_it(run_jobs, number):
    assert shop.mail.defer(to=str(number)) == 1
    assert run_jobs().names == ["mail"]
    assert shop.mails.pop() == str(number)
"""


def test_workers_of_xdist_have_their_jobs_to_themselves(shop: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("xdist")
    shop.makepyfile(MANY)
    run_apart("-p", "xdist", "-n2").assert_outcomes(passed=8)


def test_workers_of_xdist_draw_from_the_seed_that_the_header_names(shop: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("xdist")
    shop.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(run_jobs, number):
            assert False
        """
    )
    result = run_apart("-p", "xdist", "-n2", "--pq-chaos=reorder")
    result.assert_outcomes(failed=4)
    seeds = {line.partition("--pq-seed=")[2] for line in result.outlines if "--pq-seed=" in line}
    assert len(seeds) == 1
    assert sum("pq replay: pytest " in line for line in result.outlines) == 4


def test_a_bad_mark_fails_its_test_in_a_worker_of_xdist(shop: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("xdist")
    shop.makepyfile("import pytest\n@pytest.mark.pq(backnd=1)\ndef test_it(): pass\ndef test_other(): pass")
    result = run_apart("-p", "xdist", "-n1")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*::test_it: @pytest.mark.pq has no argument 'backnd'*"])


def test_any_order_of_the_tests_will_do(shop: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("pytest_randomly")
    shop.makepyfile(MANY)
    run_apart("-p", "pytest_randomly").assert_outcomes(passed=8)


def test_coverage_sees_the_lines_of_tasks(shop: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("pytest_cov")
    shop.makepyfile(MANY)
    result = run_apart("-p", "pytest_cov", "--cov=shop", "--cov-report=term-missing")
    result.assert_outcomes(passed=8)
    result.stdout.re_match_lines([r"shop.py\s+\d+\s+2\s+\d+%\s+\d+, \d+$"])


def test_django_has_a_database_and_pq_its_jobs(shop: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("pytest_django")
    shop.makepyfile(
        settings="""
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        INSTALLED_APPS = ["django.contrib.contenttypes"]
        USE_TZ = True
        """,
        test_it="""
        import pytest
        import shop

        @shop.app.task(name="count")
        def count() -> int:
            from django.contrib.contenttypes.models import ContentType

            return ContentType.objects.count()

        @pytest.mark.django_db
        def test_it(run_jobs):
            count.defer()
            assert run_jobs().succeeded[0].result >= 1
        """,
    )
    run_apart("-p", "pytest_django.plugin", "--ds=settings").assert_outcomes(passed=1)


def test_classes_of_unittest_have_their_jobs_to_themselves(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(
        """
        import unittest

        import shop
        from pq_testing import using

        class SomeTest(unittest.TestCase):
            def setUp(self):
                self.run_jobs = self.enterContext(using(shop.app))

            def test_one(self):
                self.assertEqual(shop.mail.defer(to="a"), 1)
                self.assertEqual(self.run_jobs().names, ["mail"])

            def test_two(self):
                self.assertEqual(shop.mail.defer(to="a"), 1)

        class Unasked(unittest.TestCase):
            def test_one(self):
                self.assertEqual(shop.mail.defer(to="a"), 1)

            def test_two(self):
                self.assertEqual(shop.mail.defer(to="a"), 1)

        class Async(unittest.IsolatedAsyncioTestCase):
            async def asyncSetUp(self):
                self.run_jobs = self.enterContext(using(shop.app))

            async def test_it(self):
                self.assertEqual(await shop.mail.defer_async(to="a"), 1)
                self.assertEqual((await self.run_jobs.run_async()).names, ["mail"])
                shop.mail.defer(to="a")
                self.assertEqual(self.run_jobs().names, ["mail"])
        """
    )
    run().assert_outcomes(passed=5)


def test_examples_in_docstrings_have_their_jobs_to_themselves(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(
        lesson='''
        """
        >>> import shop
        >>> shop.mail.defer(to="a")
        1
        >>> isinstance(shop.app.connector, shop.Untouchable)
        False
        """
        '''
    )
    run("--doctest-modules", "lesson.py").assert_outcomes(passed=1)
