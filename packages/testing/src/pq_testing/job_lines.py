"""Jobs, values and times, in the few words that a failing test has room for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pq_core.job import Job
from pq_core.states import State

MAX_VALUE = 60
"""Characters of one value."""
LEAST_VALUE = 12
"""Characters that a value has even where there is little room."""
MAX_CALL = 120
"""Characters of a task with its arguments."""
MAX_ERROR = 100
"""Characters of an error's message."""

_UNITS = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("min", timedelta(minutes=1)),
)
_SECOND = timedelta(seconds=1)


def job_line(job: Job, now: datetime) -> str:
    """Return a job in one line: ``job 3  shop.send(order=7)  scheduled, due in 2 h``."""
    return f"job {job.id}  {call(job)}  {', '.join(_standing(job, now))}"


def call(job: Job, most: int = MAX_CALL) -> str:
    """Return a job as a call of its task, in at most about `most` characters."""
    return call_of(job.task, job.args, most)


def call_of(task: str, args: dict[str, Any], most: int = MAX_CALL) -> str:
    """Return a task and arguments as a call; a long value is cut first, then arguments are left out at the end."""
    name_of_task = cut(task, most)
    given: list[str] = []
    room = most - len(name_of_task) - len("()")
    for place, (name, value) in enumerate(args.items()):
        text = f"{cut(name, MAX_VALUE)}={brief(value, min(MAX_VALUE, max(room - len(name) - 1, LEAST_VALUE)))}"
        room -= len(text)
        if room < 0 and given:
            given.append(f"... {len(args) - place} more")
            break
        room -= len(", ")
        given.append(text)
    return f"{name_of_task}({', '.join(given)})"


def brief(value: object, most: int = MAX_VALUE) -> str:
    """Return the repr of a value, without its middle if it is longer than `most` characters; in one line."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a __repr__ of the user's may raise anything
        text = f"<{type(value).__qualname__}>"
    return cut(text, most)


def cut(text: str, most: int) -> str:
    """Return a text in one line, without its middle if it is longer than `most` characters."""
    if not text.isprintable():
        text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    if len(text) <= most:
        return text
    tail = (most - 3) // 3
    return f"{text[: most - 3 - tail]}...{text[-tail:]}"


def one_of(words: Sequence[str]) -> str:
    """Return words as a choice: ``ready``, ``ready or failed``, ``ready, failed or cancelled``."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def due(moment: datetime, now: datetime, *, parts: int | None = 2) -> str:
    """Return when a moment is, seen from `now`: ``now``, ``in 1 h 30 min``, ``2 d ago``.

    Args:
        moment: aware.
        now: aware.
        parts: how many units at most; None: all, so that different moments never read alike.
    """
    if moment == now:
        return "now"
    text = length(abs(moment - now), parts=parts)
    return f"in {text}" if moment > now else f"{text} ago"


def length(span: timedelta, *, parts: int | None = 2) -> str:
    """Return a length of time from 0, such as ``1 h 30 min``; with `parts` units at most, what is less is dropped."""
    words: list[str] = []
    for unit, size in _UNITS:
        count, span = divmod(span, size)
        if count:
            words.append(f"{count} {unit}")
    seconds, fraction = divmod(span, _SECOND)
    if fraction and (parts is None or not words):
        text = f"{seconds}.{fraction.microseconds:06}".rstrip("0")
        words.append(f"{text} s")
    elif seconds or not words:
        words.append(f"{seconds} s")
    return " ".join(words[:parts])


def moment_text(moment: datetime) -> str:
    """Return a moment in UTC, to the second, or to the microsecond if it has any."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ") + " UTC"


def last_error(job: Job, most: int = MAX_ERROR) -> str:
    """Return the newest error of a job in one line, or nothing."""
    if not job.errors:
        return ""
    error = job.errors[-1]
    kind = str(error.get("type", "")).rpartition(".")[2]
    message = str(error.get("message", "")).strip()
    return cut(f"{kind}: {message}" if message else kind, most)


def _standing(job: Job, now: datetime) -> list[str]:
    words = [str(job.state)]
    if job.state is State.SCHEDULED:
        words.append(f"due {due(job.scheduled_at, now)}")
    if job.state is State.CANCELLED and job.reason:
        words[0] = f"cancelled ({cut(job.reason, MAX_VALUE)})"
    if job.attempt > 1 or (job.attempt and job.state is State.SCHEDULED):
        words.append(f"after attempt {job.attempt}" if not job.ended else f"attempt {job.attempt}")
    if job.queue != "default":
        words.append(f"queue {brief(job.queue)}")
    if job.lock is not None:
        words.append(f"lock {brief(job.lock)}")
    if error := last_error(job):
        words.append(error)
    return words
