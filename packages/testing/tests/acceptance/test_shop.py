"""The shop of the documentation: its suite is green, and finds each bug by what is meant to find it.

``PQ_WRITE_EXAMPLES=1`` writes the outputs anew that the page shows, instead of comparing them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[4] / "docs"
SHOP = DOCS / "examples" / "shop"
PAGE = (DOCS / "tutorial" / "shop.md").read_text(encoding="utf-8")
BUGS = {
    "double_charge": {
        "test_chaos.py::test_what_is_done_twice_happens_once[memory]",
        "test_chaos.py::test_what_is_done_twice_happens_once[postgres]",
    },
    "forgotten_lock": {"test_exploration.py::test_the_last_copy_is_sold_once"},
    "job_outside": {
        "test_transactions.py::test_an_order_that_is_rolled_back_leaves_no_job[memory]",
        "test_transactions.py::test_an_order_that_is_rolled_back_leaves_no_job[postgres]",
    },
    "lost_by_a_crash": {"test_chaos.py::test_wherever_a_worker_dies_the_parcel_arrives"},
    "renamed_argument": {"payloads/shop.tasks.send_receipt.json::(order: integer)"},
    "silent_end": {"test_orders.py::test_charging_is_given_up_after_three_attempts"},
    "unhandled_retry": {"test_orders.py::test_two_weeks_after_a_delivery_a_review_is_asked_for"},
    "unseen_error": {"test_orders.py::test_an_order_that_nobody_could_charge_is_cancelled"},
    "wrong_order": {"test_chaos.py::test_whichever_job_is_first_the_parcels_arrive"},
}
"""The tests that fail with each bug."""
VARYING = [
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "5f0c3b1e-7a3d-4f57-9d3c-2b8a6f0e9c11"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? UTC"), "2026-11-21 14:04:18.402173 UTC"),
    (re.compile(r"\bworker \d{6,}"), "worker 6487537405303422659"),
    (re.compile(r"--pq-seed=\d+"), "--pq-seed=4711"),
    (re.compile(r"^ +[~^]+\n", re.MULTILINE), ""),  # since Python 3.13 also below lines that are wrong as a whole
]
SUMMARY = re.compile(r"^=+ short test summary info =+\n.*", re.DOTALL | re.MULTILINE)
PYTESTS_OWN = re.compile(r"^E   AssertionError: assert .*\n(?:E(?:     .*)?\n)*|^_+ (.*) _+$", re.MULTILINE)
FAILED = re.compile(r"^(?:FAILED|ERROR) tests/(.*?)(?: - .*)?$", re.MULTILINE)

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHOP, tmp_path / "shop", ignore=shutil.ignore_patterns("__pycache__", ".*")))


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the shop's suite as its authors would, without the plugins that happen to be installed here."""
    options = ["-q", "--tb=short", "--pq-require-postgres", "-o", "log_level=CRITICAL", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "anyio", "-p", "pq_testing.plugin", *options, *arguments],
        cwd=project,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "120", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def put_in(project: Path, bug: str) -> None:
    """Apply a patch, whose context occurs once in the file."""
    patch = (project / "bugs" / f"{bug}.diff").read_text(encoding="utf-8")
    head, *hunks = re.split(r"^@@.*@@.*\n", patch, flags=re.MULTILINE)
    path = project / head.splitlines()[1].removeprefix("+++ ")
    text = path.read_text(encoding="utf-8")
    for hunk in hunks:
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] != "+")
        assert text.count(old) == 1, f"{bug}.diff does not fit {path.name} any more:\n{old}"
        text = text.replace(old, "".join(line[1:] for line in lines if line[0] != "-"))
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--pq-backend=all"],
        *(
            [f"--pq-chaos={chaos}", f"--pq-seed={seed}"]
            for chaos in ("redeliver", "crash", "reorder")
            for seed in (1, 2)
        ),
        ["--pq-chaos=redeliver,crash,reorder", "--pq-seed=1", "tests/test_orders.py"],
    ],
    ids=" ".join,
)
def test_without_bugs_the_suite_is_green(project: Path, arguments: list[str]) -> None:
    done = run(project, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found_by_what_is_meant_to_find_it(project: Path, bug: str) -> None:
    put_in(project, bug)
    done = run(project)
    assert set(FAILED.findall(done.stdout)) == BUGS[bug], done.stdout + done.stderr

    printed, shown = plain(done.stdout), SHOP / "bugs" / f"{bug}.txt"
    if os.environ.get("PQ_WRITE_EXAMPLES"):
        shown.write_text(printed, encoding="utf-8")
    assert as_pq_tells(printed) == as_pq_tells(shown.read_text(encoding="utf-8"))


def test_the_page_shows_each_bug_and_what_finds_it() -> None:
    assert {path.stem for path in (SHOP / "bugs").glob("*.diff")} == set(BUGS)
    assert [bug for bug in BUGS if f"/bugs/{bug}.diff" not in PAGE or f"/bugs/{bug}.txt" not in PAGE] == []


def plain(output: str) -> str:
    """Return what is told of failures, without what is different at each run, or with each version of Python."""
    _, _, output = output.partition("FAILURES ")
    output = SUMMARY.sub("", output.partition("\n")[2])
    for pattern, replacement in VARYING:
        output = pattern.sub(replacement, output)
    return "".join(f"{line.rstrip()}\n" for line in output.splitlines())


def as_pq_tells(printed: str) -> str:
    """Return it without how pytest explains an assertion, which is different with each of its versions."""
    return PYTESTS_OWN.sub(r"\1", printed)
