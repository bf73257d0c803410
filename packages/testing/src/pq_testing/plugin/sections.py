"""What a failing test shows of its jobs, and how to see it fail again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pq_testing.plugin import replay
from pq_testing.plugin.lifetime import known

if TYPE_CHECKING:  # Only for readers: a test run that uses no jobs does not pay for them.
    from pq_testing.harness import Harness


def add_sections(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add to the report of a failing test the sections "pq jobs" and, if its workers were disturbed, "pq replay"."""
    lifetime = known(item)
    if lifetime is None:
        return
    for used in lifetime.uses:
        if text := _jobs(used.harness):
            report.sections.append(("pq jobs", text))
    if lifetime.disturbed:
        command = replay.command(item, lifetime.settings, lifetime.crash_at)
        report.sections.append(("pq replay", f"pq replay: {command}"))


def _jobs(harness: Harness) -> str:
    try:
        from pq_testing.jobs_section import jobs_section

        return jobs_section(harness)
    except Exception as reason:  # noqa: BLE001 - the test's own error must be seen, whatever became of the database
        return f"pq could not read the jobs of this test: {type(reason).__name__}: {reason}"
