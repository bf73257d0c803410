from __future__ import annotations

import os
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

OPEN = """
import os
import subprocess
import sys

import pytest
import pq_core as pq

def test_open():
    app = pq.App(connector=pq.PsycopgConnector("host=nowhere.invalid connect_timeout=1"))
    with pytest.raises(pq.ConnectorError) as caught:
        app.open()
        app.jobs.count()
    print("said", type(caught.value).__name__, caught.value)
    print("child", subprocess.run(
        [sys.executable, "-c", "import os; print(os.environ.get('PQ_REFUSE_DATABASE'))"], capture_output=True, text=True
    ).stdout)
"""


def test_no_test_reaches_a_database_that_the_plugin_did_not_choose(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(OPEN)
    run("-s").stdout.fnmatch_lines(
        [
            "*said DatabaseRefused *pq will not touch a real database from a test: set pq_app, or pq_allow_real = *",
            "child pq will not touch *",
        ]
    )


def test_a_suite_may_allow_real_databases(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(OPEN)
    pytester.makeini("[pytest]\npq_allow_real = true\n")
    run("-s").stdout.fnmatch_lines(["*said ConnectionFailed *", "child None"])


@pytest.mark.parametrize("before", [None, "no databases today"])
@pytest.mark.parametrize("option", ["--pq-allow-real", "--pq-no-allow-real", "--pq-strict=nonsense"])
def test_the_environment_is_put_back_after_a_session_inside_of_another(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, before: str | None, option: str
) -> None:
    if before:
        monkeypatch.setenv("PQ_REFUSE_DATABASE", before)
    run(option)
    assert os.environ.get("PQ_REFUSE_DATABASE") == before
