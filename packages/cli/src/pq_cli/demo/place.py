"""Where the demo's jobs are: on a throw-away server, or in a schema of their own on a given one."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager

import attrs

from pq_cli.demo.tasks import make_app
from pq_cli.toolkit import postgres
from pq_core import App


@attrs.frozen
class Place:
    """A database with pq in it."""

    dsn: str
    schema: str
    app: App


@contextmanager
def opened(dsn: str | None) -> Generator[Place]:
    """Make a place that is gone at the end.

    Args:
        dsn: of a server to use; with None, one is started.

    Raises:
        PQError: there is no server to be had, or it refuses.
    """
    if dsn is None:
        with postgres().Server.start(autovacuum=False) as server, _installed(server.dsn(), "pq") as place:
            yield place
        return
    with _installed(dsn, f"pq_demo_{secrets.token_hex(4)}") as place:
        try:
            yield place
        finally:
            place.app.close()
            _drop(place)


@contextmanager
def _installed(dsn: str, schema: str) -> Generator[Place]:
    app = make_app(dsn, schema)
    app.migrate()
    try:
        yield Place(dsn, schema, app)
    finally:
        app.close()


def _drop(place: Place) -> None:
    import psycopg
    from psycopg import sql

    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute("set client_min_messages = warning")
        connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(place.schema)))
