"""`pq jobs`: look at stored jobs, live and ended, and change them."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pq_cli.choices import complete_state
from pq_cli.options import AppPath, AsJson, Dsn, Schema
from pq_cli.output import explanation_data, job_data, note, shown, write_json, write_table

if TYPE_CHECKING:  # see main
    from pq_cli.search import Change, Search

cli = typer.Typer(no_args_is_help=True, help="Look at stored jobs, live and ended, and change them.")

Queue = Annotated[str | None, typer.Option(help="Only of this queue.")]
TaskName = Annotated[str | None, typer.Option("--task", help="Only of this task.")]
States = Annotated[
    list[str] | None,
    typer.Option(
        "--state", metavar="STATE", help="Only in this state; may be repeated.", autocompletion=complete_state
    ),
]
Lock = Annotated[str | None, typer.Option(help="Only with this lock.")]
Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="The jobs, in place of a search for them.")]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="This many jobs at most.  [default: all that fit]")]
After = Annotated[int, typer.Option(min=0, help="Only jobs with a higher id.")]


@cli.command("list")
def list_jobs(
    *,
    queue: Queue = None,
    task: TaskName = None,
    state: States = None,
    lock: Lock = None,
    limit: Annotated[int, typer.Option(min=1, help="This many jobs at most.")] = 100,
    after: After = 0,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """List jobs in order of their ids."""
    from pq_cli.search import Search
    from pq_cli.target import Target

    search = Search(queue=queue, task=task, state=state, lock=lock, limit=limit, after=after)
    with Target(app, dsn, schema).jobs_only() as opened:
        found = [job for page in search.pages(opened) for job in page]
    if as_json:
        write_json([job_data(job) for job in found])
        return
    columns = ["id", "state", "task", "queue", "priority", "attempt", "scheduled_at", "lock"]
    write_table(columns, [[getattr(job, column) for column in columns] for job in found])
    if len(found) == limit:
        note(f"There may be more: --after {found[-1].id}")


@cli.command()
def show(
    job_id: Annotated[int, typer.Argument(metavar="ID")],
    *,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of a job, with the errors of its attempts."""
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        job = opened.jobs.get(job_id)
    data = job_data(job)
    if as_json:
        write_json(data)
        return
    errors = data.pop("errors")
    for name, value in data.items():
        typer.echo(f"{name:<20}{shown(_text(value))}")
    for error in errors:
        typer.echo(f"\nattempt {error.get('attempt')}, {shown(error.get('at'))}: {shown(error.get('type'))}")
        for line in str(error.get("traceback") or error.get("message")).splitlines():
            typer.echo(f"  {shown(line)}")


@cli.command()
def why(
    job_id: Annotated[int, typer.Argument(metavar="ID")],
    *,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Say why a job does not run: what holds it up, who runs it, or how it ended."""
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        explanation = opened.jobs.explain(job_id)
    if as_json:
        write_json(explanation_data(explanation))
        return
    for line in str(explanation).splitlines():
        typer.echo(shown(line))


@cli.command()
def retry(
    ids: Ids = None,
    *,
    queue: Queue = None,
    task: TaskName = None,
    state: States = None,
    lock: Lock = None,
    limit: Most = None,
    after: After = 0,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Make ended jobs run again, under their ids and with all their attempts.

    Name them by id, or search: without --state, only failed jobs are found.
    """
    from pq_cli.search import Search, change
    from pq_cli.target import Target

    search = Search(queue=queue, task=task, state=state, lock=lock, limit=limit, after=after, states=("failed",))
    which = _only_one(ids, search)
    with Target(app, dsn, schema).jobs_only() as opened:
        _tell(change(opened, opened.jobs.retry, which), as_json=as_json)


@cli.command()
def cancel(
    ids: Ids = None,
    *,
    queue: Queue = None,
    task: TaskName = None,
    state: States = None,
    lock: Lock = None,
    limit: Most = None,
    after: After = 0,
    reason: Annotated[str | None, typer.Option(help="Why, in words; kept with the job.")] = None,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """End jobs that wait, and ask running ones to stop.

    Name them by id, or search: without --state, all jobs that have not ended are found.
    """
    from pq_cli.search import Search, change
    from pq_cli.target import Target

    live = ("scheduled", "ready", "blocked", "running")
    search = Search(queue=queue, task=task, state=state, lock=lock, limit=limit, after=after, states=live)
    which = _only_one(ids, search)
    with Target(app, dsn, schema).jobs_only() as opened:
        apply = opened.jobs.cancel if reason is None else partial(opened.jobs.cancel, reason=reason)
        _tell(change(opened, apply, which), as_json=as_json)


def _only_one(ids: list[int] | None, search: Search) -> list[int] | Search:
    """Return what was given: ids, or what to search for."""
    if bool(ids) == search.narrow:
        raise typer.BadParameter("name jobs either by their ids, or by --queue, --task, --state or --lock")
    return ids or search


def _tell(done: Change, *, as_json: bool) -> None:
    """Say what became of the jobs; ids that were named and not changed are a failure."""
    if as_json:
        changed = [{"id": job.id, "state": str(job.state)} for job in done.changed]
        write_json({"changed": changed, "unchanged": done.unchanged})
    else:
        write_table(["id", "state"], [[job.id, job.state] for job in done.changed])
    if done.unchanged:
        ids = ", ".join(map(str, done.unchanged))
        note(f"pq: left alone, because unknown or in a state that does not allow it: {ids}")
        raise typer.Exit(1)


def _text(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
