"""What a failing test shows of its jobs, and how to see it fail again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pq_testing.plugin import replay
from pq_testing.plugin.lifetime import known

if TYPE_CHECKING:  # Only for readers: a test run that uses no jobs does not pay for them.
    from pq_testing.harness import Harness

_OF_ONE_TEST = ("fixture run_jobs", "fixture app", "fixture pq_")
_WIDER = (
    "Fixtures of pq are of one test. In a fixture of wider scope use pq_testing.using(app): "
    "`with using(app) as run_jobs: yield run_jobs`."
)


_TEXTS = pytest.StashKey[list[tuple[str, str]]]()


def add_sections(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add to the report of a failing test the sections "pq jobs" and, if its workers were disturbed, "pq replay"."""
    remember(item)
    texts = item.stash[_TEXTS]
    report.sections.extend(texts)
    if "ScopeMismatch" in (text := str(report.longrepr)) and any(name in text for name in _OF_ONE_TEST):
        report.sections.append(("pq", _WIDER))


def remember(item: pytest.Item) -> None:
    """Take down what a failing test is to show, while it still has its jobs."""
    lifetime = known(item)
    if lifetime is None:
        item.stash.setdefault(_TEXTS, [])
        return
    texts = [("pq jobs", text) for used in lifetime.uses if (text := _jobs(used.harness))]
    item.stash[_TEXTS] = texts
    if lifetime.disturbed and lifetime.uses:
        command = replay.command(item, lifetime.settings, lifetime.crash_at)
        lines = [line for used in lifetime.uses for line in getattr(used.harness.conductor, "lines", ())]
        texts.append(("pq replay", "\n".join([*lines, f"pq replay: {command}"])))


def _jobs(harness: Harness) -> str:
    try:
        from pq_testing.jobs_section import jobs_section

        return jobs_section(harness)
    except Exception as reason:  # noqa: BLE001 - the test's own error must be seen, whatever became of the database
        return f"pq could not read the jobs of this test: {type(reason).__name__}: {reason}"
