"""`pq schedules`: look at schedules, and make and change them at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from pq_cli.choices import complete_catch_up
from pq_cli.durations import duration
from pq_cli.job_options import job_options, json_arguments
from pq_cli.options import AppPath, AsJson, Dsn, Schema
from pq_cli.output import moment, note, write_json, write_table

if TYPE_CHECKING:  # see main
    from pq_core.periodic import Timing
    from pq_core.schedule import Schedule

cli = typer.Typer(no_args_is_help=True, help="Look at schedules, and make and change them at run time.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The schedule.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help="The schedules.")]
CRON = "When: '*/5 * * * *', with seconds first if six fields; or @daily."
Zone = Annotated[
    str | None, typer.Option(metavar="ZONE", help="Whose clock that means, as Europe/Paris.  [default: UTC]")
]
CatchUp = Annotated[
    str | None,
    typer.Option(
        metavar="WHICH",
        help="Missed ticks to make up for: none, last or all.  [default: last]",
        autocompletion=complete_catch_up,
    ),
]
MaxDelay = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Ticks older than that are dropped in any case: 90 (s), 1h30m.")
]


@cli.command("list")
def list_schedules(*, app: AppPath = None, dsn: Dsn = None, schema: Schema = None, as_json: AsJson = False) -> None:
    """List all schedules."""
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        found = opened.schedules.all()
    if as_json:
        write_json([_data(each) for each in found])
        return
    columns = ["id", "state", "task", "cron", "timezone", "next_tick", "last_tick"]
    write_table(columns, [[_data(each)[column] for column in columns] for each in found])


@cli.command()
def add(
    schedule_id: Id,
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's name, or an alias.")],
    arguments: Annotated[
        str, typer.Argument(metavar="JSON", help="Its arguments, as a JSON object; - reads it from standard input.")
    ] = "{}",
    *,
    cron: Annotated[str, typer.Option(metavar="CRON", help=CRON)],
    timezone: Zone = None,
    catch_up: CatchUp = None,
    max_delay: MaxDelay = None,
    queue: Annotated[str | None, typer.Option(help="Another queue than the task's.")] = None,
    priority: Annotated[int | None, typer.Option(help="Higher runs first; -32768 to 32767.")] = None,
    lock: Annotated[str | None, typer.Option(help="Of all jobs with one lock, at most one runs.")] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="The task is defined elsewhere: check neither its name nor its arguments.")
    ] = False,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
) -> None:
    """Store a schedule: workers tick it from now on."""
    from pq_cli.target import Target

    options = job_options(queue=queue, priority=priority, lock=lock)
    values = json_arguments(arguments)
    with Target(app, dsn, schema).to_defer(unknown=unknown) as opened:
        job = opened.configure_task(task, allow_unknown=unknown, **options).job(**values)
        opened.schedules.add(schedule_id, job, **_timing(cron, timezone, catch_up, max_delay))


@cli.command()
def change(
    schedule_id: Id,
    *,
    cron: Annotated[str | None, typer.Option(metavar="CRON", help=CRON)] = None,
    timezone: Zone = None,
    catch_up: CatchUp = None,
    max_delay: MaxDelay = None,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
) -> None:
    """Change when a schedule ticks that was made at run time."""
    from pq_cli.target import Target

    timing = _timing(cron, timezone, catch_up, max_delay)
    if not timing:
        raise typer.BadParameter("say what to change: --cron, --timezone, --catch-up or --max-delay")
    with Target(app, dsn, schema).jobs_only() as opened:
        opened.schedules.change(schedule_id, **timing)


@cli.command()
def pause(ids: Ids, *, app: AppPath = None, dsn: Dsn = None, schema: Schema = None) -> None:
    """Let schedules not tick until they are resumed."""
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        _tell(ids, opened.schedules.pause(ids))


@cli.command()
def resume(ids: Ids, *, app: AppPath = None, dsn: Dsn = None, schema: Schema = None) -> None:
    """Let paused schedules tick again; ticks meanwhile are not made up for."""
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        _tell(ids, opened.schedules.resume(ids))


@cli.command()
def remove(ids: Ids, *, app: AppPath = None, dsn: Dsn = None, schema: Schema = None) -> None:
    """Forget schedules; the jobs that they have stored stay."""
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        _tell(ids, opened.schedules.remove(ids))


@cli.command("next")
def next_ticks(
    schedule_id: Id,
    *,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 5,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """Show when a schedule ticks next."""
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        ticks = [moment(tick) for tick in opened.schedules.next_ticks(schedule_id, count)]
    if as_json:
        write_json(ticks)
    else:
        for tick in ticks:
            typer.echo(tick)


def _timing(cron: str | None, timezone: str | None, catch_up: str | None, max_delay: str | None) -> Timing:
    given = {
        "cron": cron,
        "timezone": timezone,
        "catch_up": catch_up,
        "max_delay": None if max_delay is None else duration(max_delay, "--max-delay"),
    }
    return cast("Timing", {name: value for name, value in given.items() if value is not None})


def _tell(wanted: list[str], done: list[str]) -> None:
    """Say which schedules there were not; that is a failure."""
    missing = sorted(set(wanted) - set(done))
    if missing:
        note(f"pq: no schedule has the id {', '.join(map(repr, missing))}")
        raise typer.Exit(1)


def _data(schedule: Schedule) -> dict[str, Any]:
    job = schedule.job
    return {
        "id": schedule.id,
        "state": _state(schedule),
        "task": job.task,
        "args": dict(job.args),
        "queue": job.queue,
        "priority": job.priority,
        "lock": job.lock,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "catch_up": schedule.catch_up,
        "max_delay": None if schedule.max_delay is None else schedule.max_delay.total_seconds(),
        "next_tick": moment(schedule.comes_next) if _state(schedule) in ("declared", "stored") else None,
        "last_tick": None if schedule.last_tick is None else moment(schedule.last_tick),
    }


def _state(schedule: Schedule) -> str:
    """Return why it ticks, or does not."""
    if schedule.paused_at is not None:
        return "paused"
    if schedule.undeclared:
        return "undeclared"
    return "stored" if schedule.declared_at is None else "declared"
