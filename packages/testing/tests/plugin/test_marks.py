from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]


def test_all_bad_marks_are_told_at_once_each_with_the_name_of_its_test(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.pq(backnd="postgres")
        def test_a_typing_error(): pass

        @pytest.mark.pq(backend="mysql", redeliver=1)
        def test_bad_values(): pass

        @pytest.mark.pq("postgres")
        def test_no_name(): pass

        class TestMany:
            pytestmark = pytest.mark.pq(crash_at=0)

            @pytest.mark.parametrize("number", [1, 2])
            def test_many(self, number): pass
        """
    )
    result = run("-v")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: *::test_a_typing_error: @pytest.mark.pq has no argument 'backnd' (did you mean backend=[?])*",
            "ERROR: *::test_bad_values: @pytest.mark.pq backend='mysql' is not possible; backend= takes \"mem*",
            "ERROR: test_it.py::test_bad_values: @pytest.mark.pq redeliver=1 is not *; redeliver= takes True or False.",
            "ERROR: test_it.py::test_no_name: @pytest.mark.pq takes no argument without a name, such as 'postgres'; *",
            "ERROR: *::TestMany::test_many?1?: @pytest.mark.pq crash_at=0 is *; * takes a whole number from 1.",
        ]
    )
    result.stderr.no_fnmatch_line("*Traceback*")


def test_every_argument_of_the_mark_is_accepted(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.pq(
            backend="memory", redeliver=True, crash="random", crash_at=1, reorder=False, seed=0, strict="off",
            fresh_database=False, max_runs=5,
        )
        @pytest.mark.pq(crash=None)
        def test_it(): pass
        """
    )
    run().assert_outcomes(passed=1)


def test_a_mark_wins_over_the_command_line_and_a_near_mark_over_a_far_one(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pq_testing.plugin.lifetime import lifetime_of

        pytestmark = pytest.mark.pq(strict="pending", max_runs=7)

        @pytest.mark.pq(strict="off", redeliver=False)
        def test_it(request):
            settings = lifetime_of(request.node).settings
            assert (settings.strict, settings.max_runs, settings.redeliver) == ("off", 7, False)
            assert (settings.reorder, settings.crash) == (True, "random")
        """
    )
    run("--pq-strict=failed", "--pq-chaos=redeliver,reorder,crash", "--pq-max-runs=3").assert_outcomes(passed=1)


def test_the_seed_of_a_test_is_its_own_and_the_same_each_time(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_it(pq_run_jobs, number):
            print("seed", number, pq_run_jobs.harness.chaos.seed)
        """
    )
    seeds = [
        [line for line in run("-s", "--pq-chaos=reorder", f"--pq-seed={seed}").outlines if "seed " in line]
        for seed in (1, 1, 2)
    ]
    first, again, other = seeds
    assert first == again != other
    assert len({line.split()[-1] for line in first}) == 3
