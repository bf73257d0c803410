"""The options that most commands share. What they mean, `target` says."""

from __future__ import annotations

from typing import Annotated

import typer

AppPath = Annotated[
    str | None,
    typer.Option(
        "--app",
        envvar="PQ_APP",
        metavar="MODULE:NAME",
        help="The app, as mycode:app or mycode.app; the working directory can be imported from.",
    ),
]
Dsn = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        envvar="PQ_DSN",
        metavar="DSN",
        help="Use this database in place of the app's: a libpq connection string; what it lacks comes from PGHOST etc.",
    ),
]
Schema = Annotated[
    str | None,
    typer.Option("--schema", envvar="PQ_SCHEMA", metavar="NAME", help="The schema of pq there.  [default: pq]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON.")]
