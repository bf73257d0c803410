"""What is typed of a job: its arguments, and when and where it runs."""

from __future__ import annotations

import json
import sys
from typing import Any, cast

import typer

from pq_cli.durations import duration
from pq_cli.moments import moment


def job_options(*, at: str | None = None, delay: str | None = None, **others: object) -> dict[str, Any]:
    """Return what was given, by the names that `defer` and `reschedule` have for it.

    Args:
        at: of the option ``--at``.
        delay: of the option ``--in``.
        others: options that are what they were typed as.

    Raises:
        typer.BadParameter: `at` is no time, or `delay` no length of time.
    """
    given = {
        "schedule_at": None if at is None else moment(at, "--at"),
        "schedule_in": None if delay is None else duration(delay, "--in"),
        **others,
    }
    return {name: value for name, value in given.items() if value is not None}


def json_arguments(text: str) -> dict[str, Any]:
    """Return the arguments of a task, as they are typed: a JSON object, or ``-`` for standard input.

    Raises:
        typer.BadParameter: this is none.
    """
    given = sys.stdin.read() if text == "-" else text
    try:
        values: Any = json.loads(given)
    except (ValueError, RecursionError) as reason:
        raise typer.BadParameter(f"{_cut(given)} is not JSON: {reason}", param_hint="'JSON'") from None
    if not isinstance(values, dict):
        raise typer.BadParameter(
            f'{_cut(given)} is not a JSON object of arguments by name, such as {{"a": 1}}', param_hint="'JSON'"
        )
    return cast("dict[str, Any]", values)


def _cut(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:57]!r}..."  # noqa: PLR2004 - one line of a terminal
