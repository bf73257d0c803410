"""A schedule as a timeline: one column for each worker, from the first step to the last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pq_core.job import Job
from pq_core.log import call_text
from pq_testing.script import Step

GAP = 3
WIDEST = 60
_SILENT = frozenset({"before heartbeat", "after heartbeat", "after finish", "before leave", "after leave"})


def timeline(drains: Sequence[Sequence[Step]], workers: int, start: datetime) -> list[str]:
    """Return the lines of a timeline.

    Args:
        drains: the steps of each drain.
        workers: how many columns there are.
        start: when the test began, by its clock: times are counted from there.
    """
    rows: list[tuple[str, int, str]] = []
    for number, steps in enumerate(drains, start=1):
        if len(drains) > 1:
            rows.append((f"run_jobs() {number}", 0, ""))
        rows += _rows(steps, start)
    widths = [max([8, *(len(text) for _, column, text in rows if column == each)]) + GAP for each in range(workers)]
    times = max([4, *(len(time) for time, _, _ in rows)]) + GAP
    head = "".join(f"worker {each + 1}".ljust(width) for each, width in enumerate(widths))
    lines = ["time".ljust(times) + head]
    shown = ""
    for time, column, text in rows:
        lines.append((time if time != shown else "").ljust(times) + " " * sum(widths[:column]) + text)
        shown = time
    return [line.rstrip() for line in lines]


def _rows(steps: Sequence[Step], start: datetime) -> list[tuple[str, int, str]]:
    rows: list[tuple[str, int, str]] = []
    for number, step in enumerate(steps):
        following = next((later for later in steps[number + 1 :] if later.hand == step.hand), None)
        text = _text(step, following)
        if text:
            rows.append(
                (f"+{step.at - start}", step.column, text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}...")
            )
    return rows


def _text(step: Step, following: Step | None) -> str:
    """Return what a worker did from one place to the next; nothing, where it does not matter."""
    job = "" if step.job is None else _call(step.job)
    if step.action == "crash":
        return f"x dies {step.place.partition(' of ')[0]}, with {job}" if job else f"x dies {step.place}"
    if step.action == "lapse":
        return f"~ its lease runs out, with {job}"
    if step.place in _SILENT:
        return ""
    if step.place == "before fetch":
        taken = None if following is None or following.place != "after fetch" else following.job
        return "" if taken is None else f"takes {_call(taken)}"
    if step.place == "after fetch":
        return f"runs it{_up_to(following)}" if job else ""
    if step.place == "before finish":
        return f"ends {job}"
    return f"goes on after {step.place.partition(' of ')[0]}{_up_to(following)}"


def _up_to(following: Step | None) -> str:
    if following is not None and following.place.startswith("await"):
        return f" to {following.place.partition(' of ')[0]}"
    return ""


def _call(job: Job) -> str:
    attempt = f", attempt {job.attempt}" if job.attempt > 1 else ""
    return f"{call_text(job, arguments=True)}{attempt}"
