"""`pq defer`: store a job."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from pq_cli.choices import complete_lock_mode
from pq_cli.durations import duration
from pq_cli.moments import moment
from pq_cli.options import AppPath, AsJson, Dsn, Schema
from pq_cli.output import write_json

if TYPE_CHECKING:  # see main
    from pq_cli.target import Target
    from pq_core import App
    from pq_core.deferrer import DeferOptions


def defer(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's name, or an alias.")],
    arguments: Annotated[
        str, typer.Argument(metavar="JSON", help="Its arguments, as a JSON object; - reads it from standard input.")
    ] = "{}",
    *,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="Not before: 2030-01-31T12:00Z, or with an offset.")
    ] = None,
    delay: Annotated[
        str | None, typer.Option("--in", metavar="DURATION", help="Not before: 90 (s), 1h30m, 2d.")
    ] = None,
    queue: Annotated[str | None, typer.Option(help="Another queue than the task's.")] = None,
    priority: Annotated[int | None, typer.Option(help="Higher runs first; -32768 to 32767.")] = None,
    lock: Annotated[str | None, typer.Option(help="Of all jobs with one lock, at most one runs.")] = None,
    lock_mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE", help="ordered (by priority, then age) or mutex.", autocompletion=complete_lock_mode
        ),
    ] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="The task is defined elsewhere: check neither its name nor its arguments.")
    ] = False,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Store a job and write its id."""
    from pq_cli.target import Target

    options = _options(at=at, delay=delay, queue=queue, priority=priority, lock=lock, lock_mode=lock_mode)
    values = json_arguments(arguments)
    with _opened(Target(app, dsn, schema), unknown=unknown) as opened:
        job_id = opened.configure_task(task, allow_unknown=unknown, **options).defer(**values)
    if as_json:
        write_json({"id": job_id})
    else:
        typer.echo(job_id)


def _opened(target: Target, *, unknown: bool) -> AbstractContextManager[App]:
    return target.jobs_only() if unknown and target.app is None else target.with_tasks()


def _options(
    *,
    at: str | None,
    delay: str | None,
    queue: str | None,
    priority: int | None,
    lock: str | None,
    lock_mode: str | None,
) -> DeferOptions:
    given: dict[str, Any] = {
        "schedule_at": None if at is None else moment(at, "--at"),
        "schedule_in": None if delay is None else duration(delay, "--in"),
        "queue": queue,
        "priority": priority,
        "lock": lock,
        "lock_mode": lock_mode,
    }
    return cast("DeferOptions", {name: value for name, value in given.items() if value is not None})


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
