"""What the workers of a fleet are to do, as it passes from the command line to them through the environment.

It may hold a DSN with a password, and command lines can be read by everybody.
"""

from __future__ import annotations

import base64
import os
import pickle

import attrs

from pq_core import WorkerOptions

VARIABLE = "PQ_FLEET_ASSIGNMENT"


@attrs.frozen(kw_only=True)
class Assignment:
    """What was asked for.

    Attributes:
        app: where it can be imported, if that was said.
        dsn: the database to use in place of the app's, if one was given.
        schema: where pq is in that.
        options: those that were given.
        min_size: connections that the pool keeps, if that was given.
        max_size: connections in the pool at most, likewise.
        log_level: from which on there are log lines.
    """

    app: str | None
    dsn: str | None
    schema: str | None
    options: WorkerOptions
    min_size: int | None
    max_size: int | None
    log_level: str

    def publish(self) -> None:
        """Let the processes that are started from here on find it."""
        os.environ[VARIABLE] = base64.b64encode(pickle.dumps(self)).decode()

    @classmethod
    def take(cls) -> Assignment:
        """Return what the parent has published; what the tasks start must not find it.

        Raises:
            KeyError: nobody has.
        """
        found: Assignment = pickle.loads(base64.b64decode(os.environ.pop(VARIABLE)))  # noqa: S301 - of our parent
        return found
