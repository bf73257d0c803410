from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

ASK = """
def test_ask(request):
    from pq_testing.plugin.state import state_of
    print(state_of(request.config).options)
"""


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_quotes_around_a_value_in_the_ini_file_are_not_part_of_it(
    pytester: pytest.Pytester, run: Run, quote: str
) -> None:
    pytester.makeini(f"[pytest]\npq_strict = {quote}pending{quote}\npq_aliases = {quote}No{quote}\n")
    pytester.makepyfile(ASK)
    run("-s").stdout.fnmatch_lines(["*pq_aliases=False*pq_strict='pending'*"])


def test_the_command_line_wins_over_the_ini_file(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeini("[pytest]\npq_strict = pending\npq_aliases = no\npq_chaos = crash\n")
    pytester.makepyfile(ASK)
    result = run("-s", "--pq-strict=off", "--pq-aliases", "--pq-chaos=reorder,redeliver", "--pq-no-autouse")
    result.stdout.fnmatch_lines(
        ["*pq_autouse=False, pq_aliases=True*pq_chaos=('redeliver', 'reorder'), *pq_strict='off'*"]
    )


@pytest.mark.parametrize(
    "ini, said",
    [
        ("pq_backend = mysql", "ini option pq_backend='mysql': allowed are memory, postgres and all."),
        ("pq_strict = very", "ini option pq_strict='very': allowed are failed, pending and off."),
        ("pq_autouse = perhaps", "ini option pq_autouse='perhaps': allowed are true and false."),
        ("pq_seed = -1", "ini option pq_seed='-1': allowed are whole numbers from 0."),
        ("pq_max_runs = 0", "ini option pq_max_runs='0': allowed are whole numbers from 1."),
        ("pq_chaos = crash, sleep", "'sleep' is not one of redeliver, crash and reorder."),
        ("pq_postgres = docker", "allowed are auto, pytest-postgresql and testcontainers."),
    ],
)
def test_a_value_that_an_option_cannot_have_is_refused_in_one_paragraph(
    pytester: pytest.Pytester, run: Run, ini: str, said: str
) -> None:
    pytester.makeini(f"[pytest]\n{ini}\n")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: pq: *{said}"])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_a_bad_value_on_the_command_line_is_named_as_it_was_written(run: Run) -> None:
    result = run("--pq-require-postgres", "--pq-backend=mysql")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: pq: --pq-backend='mysql': allowed are memory, postgres and all."])


def test_a_flag_does_not_take_the_path_behind_it_for_its_value(pytester: pytest.Pytester, run: Run) -> None:
    path = pytester.makepyfile(ASK)
    run("-s", "--pq-require-postgres", str(path)).stdout.fnmatch_lines(["*pq_require_postgres=True*"])


@pytest.mark.parametrize("table", ["tool.pytest.ini_options", "tool.pytest"])
def test_a_toml_file_may_hold_plain_booleans_and_numbers(pytester: pytest.Pytester, run: Run, table: str) -> None:
    if table == "tool.pytest" and pytest.version_tuple < (9,):
        pytest.skip("this pytest reads no such table")
    pytester.makepyprojecttoml(f"[{table}]\npq_autouse = false\npq_seed = 7\npq_dsn = 'host=x'\n")
    pytester.makepyfile(ASK)
    result = run("-s")
    if table == "tool.pytest" and pytest.version_tuple < (9, 2):  # it knows one type for each option
        result.stderr.fnmatch_lines(["ERROR: pq: ini option pq_autouse * must be a text for this pytest: put quotes *"])
    else:
        result.stdout.fnmatch_lines(["*pq_autouse=False*pq_dsn='host=x'*pq_seed=7*"])


def test_every_option_stands_on_the_command_line_and_in_the_ini_file(run: Run) -> None:
    from pq_testing.plugin.options import OPTIONS, Options

    assert [option.name for option in OPTIONS] == list(Options._fields)
    shown = run("--help").stdout.str()
    for option in OPTIONS:
        assert f"  {option.flag}" in shown
        assert f"  {option.name} (" in shown


def test_a_session_with_chaos_prints_what_repeats_it(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_it(): pass")
    run("--pq-chaos=crash,redeliver", "--pq-seed=4711").stdout.fnmatch_lines(
        ["pq: --pq-chaos=redeliver,crash --pq-seed=4711"]
    )
    run("--pq-chaos=reorder").stdout.re_match_lines([r"pq: --pq-chaos=reorder --pq-seed=\d+$"])
    run().stdout.no_fnmatch_line("pq:*")
