"""`pq worker`: run jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from pq_cli.choices import LOG_LEVELS, complete_keep, complete_log_level
from pq_cli.durations import duration, duration_or_forever
from pq_cli.durations import retention as length_of_retention
from pq_cli.options import AppPath, Dsn, Schema

if TYPE_CHECKING:  # see main
    from pq_cli.fleet.assignment import Assignment
    from pq_core import App, WorkerOptions

AUTO = "auto"
MOST_PROCESSES = 1_000
"""Of one parent: each needs three connections, so the database has had enough long before."""


def worker(
    queues: Annotated[
        list[str] | None, typer.Argument(metavar="QUEUES", help="The queues to serve.  [default: all]")
    ] = None,
    *,
    app: AppPath = None,
    name: Annotated[str | None, typer.Option(help="What logs and listings call it.  [default: worker]")] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", "-c", help="Jobs that run at the same time.  [default: 10]")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is left to run.")] = False,
    poll_interval: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Between looks for work without news.  [default: 5s]")
    ] = None,
    listen: Annotated[
        bool | None,
        typer.Option("--listen/--no-listen", help="Hold a connection that tells of new jobs.  [default: listen]"),
    ] = None,
    graceful_timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="For jobs to end after SIGTERM, or forever.  [default: 30s]"),
    ] = None,
    lease: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Without a sign of life for so long is dead.  [default: 30s]")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="WHICH", help="Ended jobs: all, failed or none.  [default: all]", autocompletion=complete_keep
        ),
    ] = None,
    retention: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="How long they are kept, or forever; failed=90d,succeeded=7d too.  [default: 30d]"
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Jobs claimed by one statement at most.  [default: 1000]")] = None,
    max_jobs: Annotated[
        int | None, typer.Option(help="Start anew after so many jobs; those that run then still end.  [default: never]")
    ] = None,
    max_memory: Annotated[
        float | None, typer.Option(metavar="MEGABYTES", help="Start anew above so much memory.  [default: never]")
    ] = None,
    max_result_bytes: Annotated[
        int | None, typer.Option(help="Size of a result; a larger one fails its job.  [default: 1000000]")
    ] = None,
    transaction_warning: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Tell of transactions held for longer, or forever.  [default: 1m]"),
    ] = None,
    log_arguments: Annotated[bool, typer.Option("--log-arguments", help="Show the values of jobs' arguments.")] = False,
    log_level: Annotated[
        str,
        typer.Option(
            metavar="LEVEL", help="debug, info, warning, error or critical.", autocompletion=complete_log_level
        ),
    ] = "info",
    processes: Annotated[
        str | None,
        typer.Option(metavar="N|auto", help="Run so many such workers, each in a process; auto: one per processor."),
    ] = None,
    min_size: Annotated[int | None, typer.Option(help="Connections that the pool keeps.  [default: 1]")] = None,
    max_size: Annotated[int | None, typer.Option(help="Connections in the pool at most.  [default: 4]")] = None,
    dsn: Dsn = None,
    schema: Schema = None,
) -> None:
    """Run jobs until told to stop.

    SIGTERM or Ctrl-C stops it gracefully: it claims no more jobs and waits for those that run. A second one does not
    wait.
    What is not given here, the app's worker_defaults decide; the defaults named are those of pq.
    """
    given: dict[str, Any] = {
        "queues": queues or None,
        "name": name,
        "concurrency": concurrency,
        "wait": False if once else None,
        "poll_interval": _seconds(poll_interval, "--poll-interval"),
        "listen": listen,
        "lease": _seconds(lease, "--lease"),
        "keep": keep,
        "batch": batch,
        "log_arguments": log_arguments or None,
        "max_jobs": max_jobs,
        "max_memory": max_memory,
        "max_result_bytes": max_result_bytes,
    }
    options = cast("WorkerOptions", {name: value for name, value in given.items() if value is not None})
    if retention is not None:
        options["retention"] = length_of_retention(retention, "--retention")
    if graceful_timeout is not None:
        grace = duration_or_forever(graceful_timeout, "--graceful-timeout")
        options["graceful_timeout"] = None if grace is None else grace.total_seconds()
    if transaction_warning is not None:
        longest = duration_or_forever(transaction_warning, "--transaction-warning")
        options["transaction_warning"] = None if longest is None else longest.total_seconds()
    number = None if processes is None else _number(processes)
    from pq_cli.fleet.assignment import Assignment

    _check_level(log_level)
    _run(
        Assignment(
            app=app,
            dsn=dsn,
            schema=schema,
            options=options,
            min_size=min_size,
            max_size=max_size,
            log_level=log_level,
        ),
        number,
    )


def _run(assignment: Assignment, processes: int | None) -> None:
    from pq_cli.log_lines import begin_logging
    from pq_cli.schema_check import require_usable
    from pq_cli.target import Target
    from pq_core import Worker

    begin_logging(assignment.log_level)
    with Target(assignment.app, assignment.dsn, assignment.schema).with_tasks() as opened:
        merged: WorkerOptions = {**opened.worker_defaults, **assignment.options}
        if assignment.min_size is not None or assignment.max_size is not None:
            _resize_pool(opened, assignment.min_size, assignment.max_size)
        worker = Worker(opened, **merged)  # refuses options before a database is asked
        if processes is not None:
            from pq_cli.fleet.launch import require_separable

            require_separable(opened, worker.settings.name, processes)
        require_usable(opened)
        if processes is None:
            worker.run()
    if processes is not None:
        from pq_cli.fleet.launch import become_parent

        become_parent(assignment, worker.settings.name, processes)
    elif worker.recycled is not None:
        from pq_cli.fresh_start import start_anew

        start_anew(worker.recycled, "the worker")


def _number(processes: str) -> int:
    if processes == AUTO:
        from pq_cli.processors import usable_processors

        return usable_processors()
    is_number = processes.isascii() and processes.isdigit() and len(processes) <= len(str(MOST_PROCESSES))
    if not is_number or not 1 <= int(processes) <= MOST_PROCESSES:
        raise typer.BadParameter(
            f"{processes!r} is neither a whole number from 1 to {MOST_PROCESSES} nor {AUTO!r}",
            param_hint="'--processes'",
        )
    return int(processes)


def _resize_pool(app: App, min_size: int | None, max_size: int | None) -> None:
    from pq_core import PsycopgConnector

    if not isinstance(app.connector, PsycopgConnector):
        raise typer.BadParameter(
            f"the app's {type(app.connector).__qualname__} has no pool", param_hint="'--min-size' / '--max-size'"
        )
    app.connector = app.connector.with_pool(min_size=min_size, max_size=max_size)


def _seconds(text: str | None, option: str) -> float | None:
    return None if text is None else duration(text, option).total_seconds()


def _check_level(level: str) -> None:
    if level.lower() not in LOG_LEVELS:
        raise typer.BadParameter(f"{level!r} is none of {', '.join(LOG_LEVELS)}", param_hint="'--log-level'")
