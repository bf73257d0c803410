"""`pq pause`, `pq resume` and `pq queues`: hold queues, tasks or all, let them go on, and see what waits where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pq_cli.options import AppPath, AsJson, Dsn, Schema
from pq_cli.output import moment, write_json, write_table

if TYPE_CHECKING:  # see main
    from pq_core import Pause

Queues = Annotated[list[str] | None, typer.Option("--queue", metavar="NAME", help="This queue; may be repeated.")]
Tasks = Annotated[list[str] | None, typer.Option("--task", metavar="NAME", help="This task; may be repeated.")]
All = Annotated[bool, typer.Option("--all", help="Everything.")]


def pause(
    *,
    queue: Queues = None,
    task: Tasks = None,
    everything: All = False,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Let no job of a queue, of a task, or no job at all, start until it is resumed; running ones run on.

    Writes what is paused then.
    """
    from pq_cli.target import Target

    wanted = _named(queue, task, everything=everything)
    with Target(app, dsn, schema).jobs_only() as opened:
        for each in wanted:
            opened.jobs.pause(**each)
        _tell(opened.jobs.pauses(), as_json=as_json)


def resume(
    *,
    queue: Queues = None,
    task: Tasks = None,
    everything: All = False,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Undo a pause of the same: --all undoes `pq pause --all`, not what else is paused.

    Writes what is still paused then.
    """
    from pq_cli.target import Target

    wanted = _named(queue, task, everything=everything)
    with Target(app, dsn, schema).jobs_only() as opened:
        for each in wanted:
            opened.jobs.resume(**each)
        _tell(opened.jobs.pauses(), as_json=as_json)


def queues(
    *,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """List the queues that have live jobs or are paused, with their jobs by state, and what else is paused."""
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        found = opened.connector.sync.queues()
        pauses = opened.jobs.pauses()
    states = ["scheduled", "ready", "blocked", "running"]
    rows = [
        {"queue": each.name, "paused": each.paused}
        | {state: sum(count for key, count in each.counts.items() if key == state) for state in states}
        for each in found
    ]
    if as_json:
        write_json({"queues": rows, "pauses": _data(pauses)})
        return
    write_table(["queue", "paused", *states], [[*row.values()] for row in rows])
    for each in pauses:
        if each.kind != "queue":
            typer.echo(f"paused since {moment(each.paused_at)}: {_words(each)}", err=True)


def _named(queue: list[str] | None, task: list[str] | None, *, everything: bool) -> list[dict[str, Any]]:
    wanted: list[dict[str, Any]] = [{"queue": name} for name in queue or ()] + [{"task": name} for name in task or ()]
    wanted += [{"everything": True}] if everything else []
    if not wanted:
        raise typer.BadParameter("name queues by --queue, tasks by --task, or say --all")
    return wanted


def _tell(pauses: list[Pause], *, as_json: bool) -> None:
    if as_json:
        write_json(_data(pauses))
    else:
        write_table(["kind", "name", "paused_at"], [[each.kind, each.name, each.paused_at] for each in pauses])


def _data(pauses: list[Pause]) -> list[dict[str, str]]:
    return [{"kind": each.kind, "name": each.name, "paused_at": moment(each.paused_at)} for each in pauses]


def _words(pause: Pause) -> str:
    return "everything" if pause.kind == "all" else f"{pause.kind} {pause.name}"
