"""The command `pq`. What a subcommand needs is imported when it runs, so that `pq --help` is there at once."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pq_cli.commands import check, defer, demo, dev, health, jobs, pause, schedules, schema, worker, workers
from pq_cli.forced_exit import end_without_threads

DEBUG = "PQ_DEBUG"
INTERRUPTED = 130


class Commands(TyperGroup):
    """Subcommands whose expected errors end in one paragraph and an exit code, not in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand.

        Raises:
            typer.Exit: pq refused on purpose; the paragraph is written.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            from pq_core.errors import PQError

            if not isinstance(error, PQError) or os.environ.get(DEBUG):
                raise
            from pq_cli.exit_codes import exit_code

            typer.echo(f"pq: {error}", err=True)
            raise typer.Exit(exit_code(error)) from None


cli = typer.Typer(
    name="pq",
    cls=Commands,
    help="A job queue on PostgreSQL: run workers, look after jobs, install the schema.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich, where help alone would need it, takes twice as long as all the rest.
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli.command("demo")(demo.demo)
cli.add_typer(dev.cli, name="dev")
cli.add_typer(schema.cli, name="schema")
cli.command("worker")(worker.worker)
cli.command("defer")(defer.defer)
cli.add_typer(jobs.cli, name="jobs")
cli.add_typer(schedules.cli, name="schedules")
cli.command("workers")(workers.workers)
cli.command("health")(health.health)
cli.command("queues")(pause.queues)
cli.command("pause")(pause.pause)
cli.command("resume")(pause.resume)
cli.command("check")(check.check)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - called by Typer
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pq {version('pq-cli')}")
        raise typer.Exit


@cli.callback()
def _options(
    *,
    version: Annotated[  # noqa: ARG001 - its callback has done it all
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help=f"Show tracebacks of expected errors too; so does {DEBUG}=1.")
    ] = False,
) -> None:
    if debug:
        os.environ[DEBUG] = "1"


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        cli(prog_name="pq")
    finally:
        end_without_threads()
