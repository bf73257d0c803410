from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

HEAVY = "attrs anyio asyncio psycopg pq_core pq_testing.run_jobs pq_testing.swap pq_testing.postgres difflib"


def found(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("found ")]


def test_a_suite_that_does_not_use_pq_imports_nothing_but_pytest_and_the_standard_library(
    pytester: pytest.Pytester, run_apart: Run
) -> None:
    pytester.makepyfile(
        conftest=f"""
        import sys

        def pytest_unconfigure():
            print("found", [name for name in "{HEAVY}".split() if name in sys.modules])
        """,
        test_it="def test_it(): pass",
    )
    assert found(run_apart("-s")) == found(pytester.runpytest_subprocess("-s"))


def test_a_thousand_tests_leave_no_thread_task_file_or_socket(shop: pytest.Pytester, run_apart: Run) -> None:
    shop.makepyfile(
        """
        import asyncio
        import gc
        import os
        import threading

        import pytest
        import shop

        @shop.app.task(name="wait")
        async def wait(): await asyncio.sleep(0)

        counts = []

        @pytest.mark.parametrize("number", range(1_000))
        def test_it(app, run_jobs, pq_clock, number):
            shop.mail.defer(to="a")
            wait.defer()
            pq_clock.advance(days=1)
            assert run_jobs().names == ["mail", "wait"]
            if number in (10, 999):
                gc.collect()
                files = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
                tasks = [each for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()]
                connectors = [each for each in gc.get_objects() if type(each).__name__.endswith("InMemoryConnector")]
                counts.append((threading.active_count(), len(files), len(tasks), len(connectors)))
            if number == 999:
                assert counts[0] == counts[1]
        """
    )
    run_apart("-q").assert_outcomes(passed=1000)
