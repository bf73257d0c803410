"""`pq defer`: store a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from pq_cli.choices import complete_lock_mode
from pq_cli.job_options import job_options, json_arguments
from pq_cli.options import AppPath, AsJson, Dsn, Schema
from pq_cli.output import write_json

if TYPE_CHECKING:  # see main
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

    given = job_options(at=at, delay=delay, queue=queue, priority=priority, lock=lock, lock_mode=lock_mode)
    options = cast("DeferOptions", given)
    values = json_arguments(arguments)
    with Target(app, dsn, schema).to_defer(unknown=unknown) as opened:
        job_id = opened.configure_task(task, allow_unknown=unknown, **options).defer(**values)
    if as_json:
        write_json({"id": job_id})
    else:
        typer.echo(job_id)
