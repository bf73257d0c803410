from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def recorded(shop: pytest.Pytester, run: Run) -> pytest.Pytester:
    """A project in which the payload of a mail is recorded."""
    shop.makepyfile(test_it="import shop\ndef test_it(): shop.mail.defer(to='a')")
    run("--pq-payloads=payloads", "--pq-payloads-update").assert_outcomes(passed=1)
    assert [each.name for each in shop.path.joinpath("payloads").glob("*.json")] == ["mail.json"]
    return shop


def test_what_tests_defer_is_recorded_and_is_a_test_from_then_on(recorded: pytest.Pytester, run: Run) -> None:
    result = run("--pq-payloads=payloads", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*mail.json::(to: string) PASSED*"])


def test_a_recorded_payload_that_no_longer_fits_fails(recorded: pytest.Pytester, run: Run) -> None:
    shop = recorded.path / "shop.py"
    shop.write_text(shop.read_text(encoding="utf-8").replace("to: str", "address: str"), encoding="utf-8")
    result = run("--pq-payloads=payloads", "-k", "mail")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(["jobs deferred as mail(to: string) may still wait somewhere, and would fail now: *"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_recorded_payloads_can_be_chosen_as_other_tests_can(recorded: pytest.Pytester, run: Run) -> None:
    option = "--pq-payloads=payloads"
    run(option, "payloads").assert_outcomes(passed=1)
    run(option, "payloads/mail.json::(to: string)").assert_outcomes(passed=1)
    run(option, "test_it.py").assert_outcomes(passed=2)
    run(option, "test_it.py::test_it").assert_outcomes(passed=1)
    run(option, ".").assert_outcomes(passed=2)


def test_workers_of_xdist_record_and_check_together(recorded: pytest.Pytester, run_apart: Run) -> None:
    pytest.importorskip("xdist")
    recorded.makepyfile(
        test_it="""
        import pytest
        import shop

        @pytest.mark.parametrize("number", range(6))
        def test_it(number):
            (shop.broken.defer() if number % 2 else shop.mail.defer(to="a"))
        """
    )
    run_apart("-p", "xdist", "-n2", "--pq-payloads=payloads", "--pq-payloads-update").assert_outcomes(passed=7)
    run_apart("-p", "xdist", "-n2", "--pq-payloads=payloads").assert_outcomes(passed=8)


def test_a_directory_that_is_not_there_is_refused(shop: pytest.Pytester, run: Run) -> None:
    shop.makepyfile("def test_it(): pass")
    result = run("--pq-payloads=nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: pq: pq_payloads = *nowhere is no directory: *"])


def test_payloads_without_pq_app_say_that_it_is_needed(recorded: pytest.Pytester, run: Run) -> None:
    result = run("--pq-payloads=payloads", "-o", "pq_app=", "-k", "mail")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(["pq_payloads needs pq_app, *"])
