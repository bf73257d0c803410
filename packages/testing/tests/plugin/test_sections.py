from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]


def test_a_failing_test_shows_its_jobs(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(
        """
        import shop

        def test_it(run_jobs):
            shop.mail.defer(to="a")
            run_jobs()
            shop.mail.configure(schedule_in={"hours": 1}).defer(to="b")
            assert False

        def test_without_jobs():
            assert False

        def test_that_passes():
            shop.mail.defer(to="a")
        """
    )
    result = run()
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        ["*- pq jobs -*", "*1*mail*succeeded*", "*2*mail*scheduled*", "*_ test_without_jobs _*"]
    )
    assert result.stdout.str().count("- pq jobs -") == 1


def test_a_test_that_fails_in_its_teardown_shows_its_jobs(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile(
        """
        import pytest
        import shop

        @pytest.fixture
        def checked(run_jobs):
            yield
            assert not run_jobs.deferred.where()

        def test_it(checked):
            shop.mail.defer(to="a")
        """
    )
    result = run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*- pq jobs -*", "*mail*ready*"])


@pytest.mark.parametrize(
    "mark, options, command",
    [
        ("", "--pq-chaos=reorder --pq-seed=7", "pytest 'test_it.py::test_it[a b]' --pq-chaos=reorder --pq-seed=7"),
        ("reorder=True", "--pq-seed=7", "pytest 'test_it.py::test_it[a b]' --pq-seed=7"),
        ("reorder=True, seed=7", "", "pytest 'test_it.py::test_it[a b]'"),
        ("reorder=False", "--pq-chaos=redeliver,reorder --pq-seed=7", "pytest * --pq-chaos=redeliver --pq-seed=7"),
        ("crash='random'", "--pq-seed=7 --pq-crash-at=2", "pytest * --pq-seed=7 --pq-crash-at=2"),
    ],
)
def test_a_test_that_fails_under_chaos_shows_the_command_that_repeats_it(
    shop: pytest.Pytester, run: Run, mark: str, options: str, command: str
) -> None:
    shop.makepyfile(
        test_it=f"""
        import pytest

        @pytest.mark.pq({mark})
        @pytest.mark.parametrize("text", ["a b"])
        def test_it(run_jobs, text):
            assert False
        """
    )
    result = run(*options.split())
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- pq replay -*", f"pq replay: {command}"])


def test_a_failing_test_without_chaos_shows_no_command(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile("def test_it(run_jobs): assert False")
    run().stdout.no_fnmatch_line("*pq replay*")
