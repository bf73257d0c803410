from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

ACCOUNTS = """
import pytest
import shop

@pytest.fixture(scope="module")
def wide():
    print("wide begins")
    yield
    print("wide ends")

@pytest.fixture
def accounts(wide):
    shop.accounts = {"a": 10, "b": 0}
    yield shop.accounts
    shop.runs += 1

@pytest.mark.pq(crash="everywhere")
def test_the_money_arrives(run_jobs, accounts):
    shop.TASK.defer()
    run_jobs()
    assert accounts == {"a": 3, "b": 7}

def test_after_it():
    print("runs", shop.runs)
"""

TASKS = """
import anyio

accounts = {}
runs = 0

@app.task(name="careless")
async def careless() -> None:
    accounts["a"] -= 7
    await anyio.sleep(0)
    accounts["b"] += 7

@app.task(name="careful")
async def careful() -> None:
    await anyio.sleep(0)
    accounts.update(a=3, b=7)
"""


@pytest.fixture
def bank(shop: pytest.Pytester) -> pytest.Pytester:
    path = shop.path / "shop.py"
    path.write_text(path.read_text(encoding="utf-8") + TASKS, encoding="utf-8")
    return shop


def test_a_test_is_run_for_each_point_at_which_a_worker_can_die(bank: pytest.Pytester, run: Run) -> None:
    bank.makepyfile(test_it=ACCOUNTS.replace("TASK", "careful"))
    result = run("-v", "-s")
    result.assert_outcomes(passed=2)
    result.stdout.re_match_lines([r".*PASSED \(\d\d? crash points\).*"])
    points = int(next(line for line in result.outlines if "crash points" in line).split("PASSED (")[1].split()[0])
    assert f"runs {points + 1}" in result.stdout.str()
    assert result.stdout.str().count("wide begins") == result.stdout.str().count("wide ends") == 1


def test_the_first_run_that_fails_is_reported_with_its_point_and_can_be_repeated(
    bank: pytest.Pytester, run: Run
) -> None:
    bank.makepyfile(test_it=ACCOUNTS.replace("TASK", "careless"))
    result = run("-v", "-s", "--pq-seed=1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E       AssertionError: assert {'a': -4, 'b': *} == {'a': 3, 'b': 7}", "*- pq replay -*"]
    )
    result.stdout.re_match_lines([r"failed at point 5 of \d+; without a crash the test passes"])
    assert result.stdout.str().count("wide begins") == result.stdout.str().count("wide ends") == 1
    command = next(line for line in result.outlines if line.startswith("pq replay: ")).split()
    assert command[2:4] == ["pytest", "test_it.py::test_the_money_arrives"]
    assert command[-1].startswith("--pq-crash-at=")
    again = run("-v", *command[3:])
    again.assert_outcomes(failed=1)
    assert [line for line in again.outlines if line.startswith(("E  ", "pq replay: "))] == [
        line for line in result.outlines if line.startswith(("E  ", "pq replay: "))
    ]


def test_a_test_that_fails_without_a_crash_is_run_once(bank: pytest.Pytester, run: Run) -> None:
    bank.makepyfile(
        """
        import pytest
        import shop

        @pytest.mark.pq(crash="everywhere")
        def test_it(run_jobs):
            shop.careful.defer()
            run_jobs()
            shop.runs += 1
            assert False, f"runs {shop.runs}"

        @pytest.mark.pq(crash="everywhere")
        def test_skipping(run_jobs):
            pytest.skip("not today")

        @pytest.mark.pq(crash="everywhere")
        def test_without_jobs():
            pass
        """
    )
    result = run("-v")
    result.assert_outcomes(failed=1, skipped=1, passed=1)
    result.stdout.fnmatch_lines(["*PASSED (0 crash points)*", "E       AssertionError: runs 1"])


def test_a_test_that_is_expected_to_fail_at_a_crash_may(bank: pytest.Pytester, run: Run) -> None:
    bank.makepyfile(
        test_it=ACCOUNTS.replace("TASK", "careless").replace(
            "@pytest.mark.pq(crash", "@pytest.mark.xfail(strict=True)\n@pytest.mark.pq(crash"
        )
    )
    run().assert_outcomes(xfailed=1, passed=1)


def test_what_wide_fixtures_do_at_their_end_is_reported_and_reaches_no_database(
    bank: pytest.Pytester, run: Run
) -> None:
    bank.makepyfile(
        test_it="""
        import pytest
        import shop

        @pytest.fixture(scope="session", autouse=True)
        def lifespan():
            with shop.app:
                yield
            print("opened", shop.Untouchable.opened, type(shop.app.connector).__name__)
            raise RuntimeError("at the end")

        @pytest.mark.pq(crash="everywhere")
        def test_it(run_jobs):
            shop.careful.defer()
            run_jobs()
        """
    )
    result = run("-s")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*opened False OpenInMemoryConnector", "*ERROR at teardown of test_it*", "E*RuntimeError: at the end"]
    )


def test_methods_of_classes_and_of_unittest_are_run_for_each_point(bank: pytest.Pytester, run: Run) -> None:
    bank.makepyfile(
        """
        import unittest

        import pytest
        import shop

        class TestPlain:
            @pytest.mark.pq(crash="everywhere")
            def test_it(self, run_jobs, caplog, capsys, tmp_path, monkeypatch):
                assert not hasattr(self, "before")
                self.before = True
                shop.careful.defer()
                run_jobs()

        class SomeTest(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def use(self, run_jobs):
                self.run_jobs = run_jobs

            @pytest.mark.pq(crash="everywhere")
            def test_it(self):
                shop.careful.defer()
                self.run_jobs()
        """
    )
    result = run("-v")
    result.assert_outcomes(passed=2)
    assert result.stdout.str().count(" crash points)") == 2


@pytest.mark.parametrize("task", ["careful", "careless"])
def test_what_a_test_records_of_itself_is_recorded_once(bank: pytest.Pytester, run: Run, task: str) -> None:
    bank.makepyfile(
        f"""
        import pytest
        import shop

        @pytest.mark.pq(crash="everywhere")
        def test_it(run_jobs, record_property):
            record_property("once", 1)
            shop.accounts.update(a=10, b=0)
            shop.{task}.defer()
            run_jobs()
            assert shop.accounts == dict(a=3, b=7)
        """
    )
    run("--junitxml=report.xml", "-o", "junit_family=xunit1")
    report = bank.path.joinpath("report.xml").read_text(encoding="utf-8")
    assert report.count("<failure") == (task == "careless")
    assert report.count('name="once"') == 1


def test_async_tests_are_run_for_each_point(bank: pytest.Pytester, run_apart: Run) -> None:
    bank.makepyfile(
        """
        import pytest
        import shop

        @pytest.mark.anyio
        @pytest.mark.pq(crash="everywhere")
        async def test_it(run_jobs):
            await shop.careful.defer_async()
            await run_jobs.run_async()
            assert shop.accounts == {"a": 3, "b": 7}
            shop.accounts.clear()
        """
    )
    result = run_apart("-p", "anyio.pytest_plugin", "-v")
    result.assert_outcomes(passed=2)
    assert result.stdout.str().count(" crash points)") == 2


def test_workers_of_xdist_say_how_many_points_there_were(bank: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("xdist")
    bank.makepyfile(test_it=ACCOUNTS.replace("TASK", "careful"))
    result = run_apart("-p", "xdist", "-n2", "-v")
    result.assert_outcomes(passed=2)


def test_chaos_over_a_suite_crashes_workers_without_an_edit(bank: pytest.Pytester, run: Run) -> None:
    bank.makepyfile(test_it=ACCOUNTS.replace("TASK", "careless").replace('@pytest.mark.pq(crash="everywhere")', ""))
    run("--pq-chaos=crash", "--pq-crash-at=5").stdout.fnmatch_lines(["pq replay: * --pq-chaos=crash * --pq-crash-at=5"])
    outcomes = {seed: run("--pq-chaos=crash", f"--pq-seed={seed}").parseoutcomes() for seed in range(40)}
    assert {1, 2} == {each["passed"] for each in outcomes.values()}, outcomes
