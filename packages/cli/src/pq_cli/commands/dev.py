"""`pq dev`: a PostgreSQL for the project in hand, its data in ``.pq/``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from pq_cli.options import AsJson
from pq_cli.output import note, write_json

cli = typer.Typer(invoke_without_command=True, help="Keep a PostgreSQL running for this project.")

Directory = Annotated[
    Path,
    typer.Option("--directory", "-C", metavar="PATH", exists=True, file_okay=False, help="The project's directory."),
]
HERE = Path()
_VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}


@cli.callback()
def up(
    context: typer.Context,
    *,
    directory: Directory = HERE,
    schema: Annotated[str, typer.Option(metavar="NAME", help="The schema of pq there.")] = "pq",
    env: Annotated[
        bool, typer.Option("--env", help="Write libpq's variables instead, for eval: what connects by them finds it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Keep a PostgreSQL running for this project, and write its DSN.

    Starts the server unless it runs, installs pq in it or brings that up to date, and leaves it running. Its data are
    in .pq/ and stay there.
    """
    if context.invoked_subcommand is not None:
        if directory != HERE or schema != "pq" or env or as_json:
            word = context.invoked_subcommand
            raise typer.BadParameter(f"the options of `pq dev {word}` stand behind the word {word}")
        return
    if env and as_json:
        raise typer.BadParameter("--env and --json exclude each other")
    import pq_core
    from pq_cli.toolkit import postgres

    server = postgres().DevServer(directory)
    connector = pq_core.PsycopgConnector(server.up(), schema=schema)
    applied = connector.sync.migrate()
    if as_json:
        write_json({"directory": str(server.directory), "running": True, "dsn": server.dsn, "applied": applied})
        return
    if applied:
        note(f"schema {schema!r}: applied {len(applied)}")
    note('PostgreSQL runs until pq dev stop; eval "$(pq dev --env)" lets what you start in this shell find it')
    typer.echo(_exports(server.dsn) if env else server.dsn)


@cli.command()
def status(*, directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Say whether the project's server runs. The exit code is 1 if it does not."""
    from pq_cli.toolkit import postgres

    server = postgres().DevServer(directory)
    running: bool = server.running
    if as_json:
        write_json({"directory": str(server.directory), "running": running, "dsn": server.dsn if running else None})
    elif running:
        typer.echo(server.dsn)
    else:
        note(f"no server runs for {server.directory}; pq dev starts it")
    raise typer.Exit(0 if running else 1)


@cli.command()
def stop(*, directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Stop the project's server. Its data are kept."""
    from pq_cli.toolkit import postgres

    server = postgres().DevServer(directory)
    was_running: bool = server.running
    server.down()
    if as_json:
        write_json({"directory": str(server.directory), "running": False, "stopped": was_running})
    else:
        note("stopped; the data are kept" if was_running else f"no server runs for {server.directory}")


def _exports(dsn: str) -> str:
    """Return shell commands that set libpq's variables to what `dsn` says."""
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(dsn)
    return "\n".join(
        f"export {name}={shlex.quote(str(parts[key]))}" for key, name in _VARIABLES.items() if key in parts
    )
