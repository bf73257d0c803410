"""`pq jobs`: look at stored jobs, live and ended, and change them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from pq_cli.choices import complete_state
from pq_cli.output import job_data, moment, note, shown, write_json, write_table
from pq_cli.target import AppPath, AsJson, Dsn, Schema, Target

if TYPE_CHECKING:  # see target
    from pq_core import App, Job, JobState

cli = typer.Typer(no_args_is_help=True, help="Look at stored jobs, live and ended, and change them.")

PAGE = 1_000

Queue = Annotated[str | None, typer.Option(help="Only of this queue.")]
TaskName = Annotated[str | None, typer.Option("--task", help="Only of this task.")]
States = Annotated[
    list[str] | None,
    typer.Option("--state", metavar="STATE", help="Only in this state; may be repeated.", autocompletion=complete_state),
]
Lock = Annotated[str | None, typer.Option(help="Only with this lock.")]
Ids = Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="The jobs, in place of a search for them.")]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="This many jobs at most.  [default: all that fit]")]
After = Annotated[int, typer.Option(min=0, help="Only jobs with a higher id.")]


@attrs.frozen(kw_only=True)
class Search:
    """Which jobs are meant: all that fit what is given."""

    queue: str | None
    task: str | None
    state: list[str] | None
    lock: str | None
    limit: int | None
    after: int

    @property
    def which(self) -> dict[str, Any]:
        """What is given, by the names of `app.jobs.find`."""
        given = {"queue": self.queue, "task": self.task, "state": self.state, "lock": self.lock}
        return {name: value for name, value in given.items() if value}

    def pages(self, app: App) -> Iterator[list[Job]]:
        """Find the jobs in order of id, some at a time."""
        after, left = self.after, self.limit
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            found = app.jobs.find(limit=size, after=after, **self.which)
            if found:
                yield found
            if len(found) < size:
                return
            after = found[-1].id
            left = None if left is None else left - len(found)


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
        typer.echo(f"\nattempt {error.get('attempt')}, {moment_of(error)}: {shown(error.get('type'))}")
        for line in str(error.get("traceback") or error.get("message")).splitlines():
            typer.echo(f"  {shown(line)}")


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
    search = Search(queue=queue, task=task, state=state or ["failed"], lock=lock, limit=limit, after=after)
    searching = any((queue, task, state, lock))
    with Target(app, dsn, schema).jobs_only() as opened:
        _change(opened, opened.jobs.retry, ids, search, searching=searching, as_json=as_json)


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
    live = ["scheduled", "ready", "blocked", "running"]
    search = Search(queue=queue, task=task, state=state or live, lock=lock, limit=limit, after=after)
    searching = any((queue, task, state, lock))
    with Target(app, dsn, schema).jobs_only() as opened:

        def cancel_them(some: list[int]) -> list[JobState]:
            return opened.jobs.cancel(some) if reason is None else opened.jobs.cancel(some, reason=reason)

        _change(opened, cancel_them, ids, search, searching=searching, as_json=as_json)


def _change(
    app: App,
    change: Callable[[list[int]], list[JobState]],
    ids: list[int] | None,
    search: Search,
    *,
    searching: bool,
    as_json: bool,
) -> None:
    """Change the jobs of these ids, or those that a search finds; ids that were named and not changed are a failure."""
    if bool(ids) == searching:
        raise typer.BadParameter("name jobs either by their ids, or by --queue, --task, --state or --lock")
    changed: list[JobState] = []
    if ids:
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), PAGE):
            changed += change(wanted[start : start + PAGE])
    else:
        for page in search.pages(app):
            changed += change([job.id for job in page])
    left = sorted(set(ids or ()) - {job.id for job in changed})
    if as_json:
        write_json({"changed": [{"id": job.id, "state": str(job.state)} for job in changed], "unchanged": left})
    else:
        write_table(["id", "state"], [[job.id, job.state] for job in changed])
    if left:
        note(f"pq: left alone, because unknown or in a state that does not allow it: {', '.join(map(str, left))}")
        raise typer.Exit(1)


def moment_of(error: dict[str, Any]) -> str:
    """Return when an attempt failed."""
    return shown(error.get("at"))


def _text(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
