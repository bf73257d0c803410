"""What the documentation shows of tests runs as it is shown, in projects of its own.

``PQ_WRITE_EXAMPLES=1`` writes the outputs anew that the pages show, instead of comparing them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from pq_testing.postgres import fresh_database

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLES = DOCS / "examples" / "testing"
PASSING = sorted(EXAMPLES.glob("test_*.py"))
FAILING = sorted((EXAMPLES / "failing").glob("test_*.py"))
NEEDS_POSTGRES = re.compile(r"^# Needs PostgreSQL\.$", re.MULTILINE)
RUN = re.compile(r"^# Run with (.*)$", re.MULTILINE)
VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
VARYING = [
    (re.compile(r"^(/|site-packages/)\S*:\d+: in .*\n(    .*\n)*", re.MULTILINE), ""),  # pq's own frames, and Python's
    (re.compile(r"^ +\^+\n", re.MULTILINE), ""),
    (re.compile(r" in \d+\.\d+s\b.*"), " in 0.1s"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? UTC"), "2026-11-21 13:50:04.888782 UTC"),
    (re.compile(r"--pq-seed=\d+"), "--pq-seed=4711"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__")))


def run(directory: Path, *arguments: str, plugin: str = "anyio", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run pytest as a user would, without the other plugins that happen to be installed here."""
    plugins = ["-p", plugin, "-p", "pq_testing.plugin", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "80", "PYTHONPATH": "", **variables}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def marked(path: Path) -> object:
    needs = NEEDS_POSTGRES.search(path.read_text(encoding="utf-8"))
    return pytest.param(path, id=path.stem, marks=[pytest.mark.postgres] if needs else [])


@pytest.mark.parametrize("example", [marked(path) for path in PASSING])
def test_an_example_passes(example: Path, project: Path) -> None:
    done = run(project, "-q", "-W", "error", "-rs", "--pq-require-postgres", example.name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_of_a_session_passes(project: Path) -> None:
    done = run(project / "session", "-q", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_without_pytest_passes(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "test_unittest.py"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("example", [marked(path) for path in FAILING])
def test_a_page_shows_what_a_failing_test_prints(example: Path, project: Path) -> None:
    arguments = RUN.search(example.read_text(encoding="utf-8"))
    done = run(project / "failing", *(arguments[1].split() if arguments else []), example.name)
    assert done.returncode not in (0, 3, 5), done.stdout + done.stderr
    printed = plain((done.stdout + done.stderr).replace(f"{project}/failing/", ""))
    shown = example.with_suffix(".txt")
    if os.environ.get("PQ_WRITE_EXAMPLES"):
        shown.write_text(printed, encoding="utf-8")
    assert without_summary(printed) == without_summary(shown.read_text(encoding="utf-8"))


@pytest.mark.postgres
def test_the_example_with_django_passes(project: Path) -> None:
    pytest.importorskip("pytest_django")
    with fresh_database() as dsn:
        facts = conninfo_to_dict(dsn)
        variables = {VARIABLES[key]: str(value) for key, value in facts.items() if key in VARIABLES}
        done = run(project / "with_django", "-q", "-W", "error", plugin="pytest_django.plugin", **variables)
    assert done.returncode == 0, done.stdout + done.stderr


TUTORIAL = (DOCS / "tutorial" / "first-tested-job.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```\w+\n# (\w+\.\w+)(.*)\n((?s:.*?))^```$", re.MULTILINE)


@pytest.mark.postgres
def test_the_tutorial_runs_as_written(tmp_path: Path) -> None:
    mended = ""
    for name, addition, text in BLOCK.findall(TUTORIAL):
        if "mended" in addition:
            mended = text
        else:
            with (tmp_path / name).open("a", encoding="utf-8") as file:
                file.write(f"\n\n{text}" if addition else text)

    failed = run(tmp_path, "-q", "--tb=short", "-o", "log_level=CRITICAL")
    assert "1 failed, 3 passed" in failed.stdout, failed.stdout + failed.stderr
    shown = EXAMPLES / "tutorial.txt"
    if os.environ.get("PQ_WRITE_EXAMPLES"):
        shown.write_text(plain(failed.stdout), encoding="utf-8")
    assert without_summary(plain(failed.stdout)) == without_summary(shown.read_text(encoding="utf-8"))

    club = (tmp_path / "club.py").read_text(encoding="utf-8")
    before, _, rest = club.partition("@app.task(retry=")
    _, _, after = rest.partition("\n\n\n")
    (tmp_path / "club.py").write_text(f"{before}{mended}\n\n{after}", encoding="utf-8")
    on_both = ["--pq-backend=all", "--pq-require-postgres"]
    for arguments, result in (
        ([], "4 passed"),
        (["--pq-chaos=redeliver"], "1 failed, 3 passed"),
        (on_both, "8 passed"),
    ):
        done = run(tmp_path, "-q", "-W", "error", *arguments)
        assert f"\n{result} in" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("library", ["celery", "dramatiq", "procrastinate", "rq"])
def test_the_test_of_another_library_passes(library: str) -> None:
    if library == "rq" and sys.platform == "win32":
        pytest.skip("RQ forks, which Windows does not")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"with_{library}.py"],
        cwd=EXAMPLES / "coming_from",
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_example_is_on_a_page() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    names = [*(path.name for path in PASSING), *(path.with_suffix(".txt").name for path in FAILING)]
    assert [name for name in names if name not in pages] == []


def plain(output: str) -> str:
    """Return the output without what is different at each run, or with each version of Python."""
    for pattern, replacement in VARYING:
        output = pattern.sub(replacement, output)
    return "".join(f"{line.rstrip()}\n" for line in output.splitlines()).strip("\n") + "\n"


def without_summary(output: str) -> str:
    """Return the output without the lines that versions of pytest cut off in different places."""
    return re.sub(r"^FAILED .*\n", "", output, flags=re.MULTILINE)
