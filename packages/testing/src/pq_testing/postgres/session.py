"""The server of a test session: the one that ``PQ_TEST_DSN`` names, or else one that is started at the first call."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Generator

from pq_testing.postgres.databases import DatabaseServer
from pq_testing.postgres.external import ExternalServer
from pq_testing.postgres.local_server import Server

_turn = threading.Lock()
_started: list[DatabaseServer] = []


def server() -> DatabaseServer:
    """Return the server of this test session, the same at each call.

    If ``PQ_TEST_DSN`` is set, it is that server, and none is started. Otherwise one is started, which ends with this
    process.

    .. versionadded:: 0.1

    Raises:
        PostgresError: if there is no server to be had; its subclasses say why.
    """
    with _turn:
        if not _started:
            dsn = os.environ.get("PQ_TEST_DSN")
            if dsn:
                _started.append(ExternalServer.connect(dsn))
            else:
                own = Server.start()
                # Its supervisor would end it all the same, but after this process: whoever waits for us finds no trace.
                atexit.register(own.stop)
                _started.append(own)
        return _started[0]


@contextlib.contextmanager
def fresh_database(*, template: str | None = None) -> Generator[str]:
    """Yield the DSN of a database on the session's server that exists for the time of the block.

    .. versionadded:: 0.1

    Args:
        template: name that the server's `template` method returned; without it the database is empty.
    """
    with server().fresh_database(template=template) as dsn:
        yield dsn
