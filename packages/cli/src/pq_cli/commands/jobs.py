"""`pq jobs`: look at stored jobs, live and ended, and change them."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pq_cli.durations import duration
from pq_cli.job_options import job_options
from pq_cli.moments import moment
from pq_cli.options import AppPath, AsJson, Dsn, Schema
from pq_cli.output import explanation_data, job_data, note, shown, write_json, write_table
from pq_cli.search_options import searching

if TYPE_CHECKING:  # see main
    from pq_cli.search import Change, Search
    from pq_core.job import Job

cli = typer.Typer(no_args_is_help=True, help="Look at stored jobs, live and ended, and change them.")

WAITING = ("scheduled", "ready", "blocked")
ENDED = ("succeeded", "failed", "cancelled")
STATES = (*WAITING, "running", *ENDED)

Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="The jobs, in place of a search for them.")]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="This many jobs at most.  [default: all that fit]")]
Everything = Annotated[bool, typer.Option("--everything", help="All jobs, in place of ids and a search.")]


@cli.command("list")
@searching
def list_jobs(
    *,
    search: dict[str, Any],
    limit: Annotated[int, typer.Option(min=1, help="This many jobs at most.")] = 100,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """List jobs in order of their ids."""
    from pq_cli.search import Search
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        found = [job for page in Search(**search, limit=limit).pages(opened) for job in page]
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
def wait(
    job_id: Annotated[int, typer.Argument(metavar="ID")],
    *,
    timeout: Annotated[str | None, typer.Option(help="Give up after so long, as 90 or 1h30m.")] = None,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Wait until a job has ended, and say how it did. The exit code is 0 only if it has succeeded."""
    from pq_cli.exit_codes import FAILED
    from pq_cli.target import Target

    patience = None if timeout is None else duration(timeout, "--timeout")
    with Target(app, dsn, schema).jobs_only() as opened:
        job = opened.jobs.wait(job_id, patience)
    if as_json:
        write_json(job_data(job))
    else:
        typer.echo(shown(": ".join(filter(None, [job.state, job.reason or _last_error(job)]))))
    if job.state != "succeeded":
        raise typer.Exit(FAILED)


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
@searching
def retry(
    ids: Ids = None,
    *,
    search: dict[str, Any],
    limit: Most = None,
    everything: Everything = False,
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

    which = _meant(ids, Search(**search, limit=limit, states=("failed",)), everything=everything, possible=ENDED)
    with Target(app, dsn, schema).jobs_only() as opened:
        _tell(change(opened, opened.jobs.retry, which), as_json=as_json)


@cli.command()
@searching
def cancel(
    ids: Ids = None,
    *,
    search: dict[str, Any],
    limit: Most = None,
    everything: Everything = False,
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

    which = _meant(ids, Search(**search, limit=limit, states=(*WAITING, "running")), everything=everything)
    with Target(app, dsn, schema).jobs_only() as opened:
        apply = opened.jobs.cancel if reason is None else partial(opened.jobs.cancel, reason=reason)
        _tell(change(opened, apply, which), as_json=as_json)


@cli.command()
@searching
def reschedule(
    ids: Ids = None,
    *,
    search: dict[str, Any],
    limit: Most = None,
    everything: Everything = False,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="Run them then: 2030-01-31T12:00Z, or with an offset.")
    ] = None,
    delay: Annotated[
        str | None, typer.Option("--in", metavar="DURATION", help="Run them in 90 (s), 1h30m, 2d.")
    ] = None,
    to_queue: Annotated[str | None, typer.Option("--to-queue", metavar="NAME", help="Run them on this queue.")] = None,
    priority: Annotated[int | None, typer.Option(help="Higher runs first; -32768 to 32767.")] = None,
    to_lock: Annotated[str | None, typer.Option("--to-lock", metavar="TEXT", help="Give them this lock.")] = None,
    no_lock: Annotated[bool, typer.Option("--no-lock", help="Take their lock away.")] = False,
    expires_at: Annotated[
        str | None, typer.Option("--expires-at", metavar="TIME", help="Cancel them unless they are started by then.")
    ] = None,
    no_expiry: Annotated[bool, typer.Option("--no-expiry", help="Let them wait for ever.")] = False,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Change when, where, how urgently or under which lock waiting jobs run.

    Name them by id, or search: without --state, all jobs that wait are found.
    """
    from pq_cli.search import Search, change
    from pq_cli.target import Target

    changes = job_options(at=at, delay=delay, queue=to_queue, priority=priority)
    changes |= _replaced("lock", to_lock, "--no-lock", away=no_lock)
    expiry = None if expires_at is None else moment(expires_at, "--expires-at")
    changes |= _replaced("expires_at", expiry, "--no-expiry", away=no_expiry)
    if not changes:
        raise typer.BadParameter(
            "say what is to change: --at, --in, --to-queue, --priority, --to-lock, --expires-at ..."
        )
    which = _meant(ids, Search(**search, limit=limit, states=WAITING), everything=everything)
    with Target(app, dsn, schema).jobs_only() as opened:
        _tell(change(opened, partial(opened.jobs.reschedule, **changes), which), as_json=as_json)


@cli.command()
@searching
def delete(
    ids: Ids = None,
    *,
    search: dict[str, Any],
    limit: Most = None,
    everything: Everything = False,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Delete jobs that wait or have ended, so that no trace of them is left.

    Name them by id, or search: without --state, all but running jobs are found.
    """
    from pq_cli.search import Search, change
    from pq_cli.target import Target

    which = _meant(ids, Search(**search, limit=limit, states=(*WAITING, *ENDED)), everything=everything)
    with Target(app, dsn, schema).jobs_only() as opened:
        _tell(change(opened, opened.jobs.delete, which), as_json=as_json)


def _meant(
    ids: list[int] | None, search: Search, *, everything: bool, possible: tuple[str, ...] = ()
) -> list[int] | Search:
    """Return what was given: ids, or what to search for.

    Args:
        ids: given.
        search: given, with the states to search for unless some are given.
        everything: whether all are meant.
        possible: in which states jobs can be changed so; by default those.
    """
    if bool(ids) + search.narrow + everything != 1:
        raise typer.BadParameter(
            "name jobs either by their ids, or by --queue, --task, --state, --lock and so on, or say --everything"
        )
    if ids and (search.limit is not None or search.after):
        raise typer.BadParameter("--limit and --after go with a search, not with ids")
    possible = possible or search.states
    if search.state and {*search.state}.isdisjoint(possible) and {*search.state} <= {*STATES}:
        raise typer.BadParameter(
            f"jobs that are {' or '.join(search.state)} are left alone; name some of {', '.join(possible)}",
            param_hint="'--state'",
        )
    return ids or search


def _replaced(name: str, value: object, option: str, *, away: bool) -> dict[str, Any]:
    """Return a change of what may also be taken away."""
    if away and value is not None:
        raise typer.BadParameter("either a new one, or none", param_hint=f"'{option}'")
    return {name: value} if away or value is not None else {}


def _tell(done: Change, *, as_json: bool) -> None:
    """Say what became of the jobs; ids that were named and not changed are a failure."""
    rows = [(job, "deleted") if isinstance(job, int) else (job.id, str(job.state)) for job in done.changed]
    if as_json:
        changed = [{"id": number, "state": state} for number, state in rows]
        write_json({"changed": changed, "unchanged": done.unchanged})
    else:
        write_table(["id", "state"], rows)
    if done.unchanged:
        ids = ", ".join(map(str, done.unchanged))
        note(f"pq: left alone, because unknown or in a state that does not allow it: {ids}")
        raise typer.Exit(1)


def _text(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def _last_error(job: Job) -> str:
    return f"{job.errors[-1]['type']}: {job.errors[-1]['message']}" if job.state == "failed" and job.errors else ""
