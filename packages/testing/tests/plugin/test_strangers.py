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
