"""How to reach one pq: connection string, schema and pool sizes, checked once, for both colours of the connector."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, LiteralString

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pq_core.clock import Clock
from pq_core.errors import DatabaseRefused, InvalidOption, shown
from pq_core.given import check_id
from pq_core.postgres.schema import check_schema_name
from pq_core.postgres.statements import Statements

logger = logging.getLogger("pq_core.postgres")

_DEFAULTS: dict[str, Any] = {
    "application_name": "pq",
    "client_encoding": "utf8",
    "connect_timeout": 10,
    # A peer that is gone without a word is noticed within a minute, also by a connection that only listens.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    # Keepalives do not count while sent data waits for an answer.
    "tcp_user_timeout": 30_000,
}
_LONGEST_TIMEOUT = 86_400
ISOLATION = "select current_setting('default_transaction_isolation')"

REFUSAL = "PQ_REFUSE_DATABASE"
"""Environment variable that keeps pq off databases, in child processes as well; its text is the error's."""

# libpq reads these itself, but only where the connection string leaves them open; our defaults would close them.
_ENVIRONMENT = {"PGAPPNAME": "application_name", "PGCONNECT_TIMEOUT": "connect_timeout"}


Begins = Callable[[], AbstractContextManager[Any]]
"""Gives a connection in an open transaction for a block, such as Django's or SQLAlchemy's."""


@attrs.define
class Link:
    """Where the jobs are.

    Attributes:
        conninfo: for libpq; what it lacks comes from libpq's environment.
        clock: tells the time wherever a verb is given none; None is the database's.
        max_idle: seconds after which a pool closes a connection that it does not need, down to `min_size`.
        transactions: begins those of sync jobs on a connection of the caller's; None: on connections of pq's own.
        refusable: whether the environment may forbid to use it, see :data:`REFUSAL`.
        preparing: False once a pooler was seen to mix up prepared statements.
    """

    conninfo: str
    schema: str
    min_size: int
    max_size: int
    timeout: float
    statements: Statements
    clock: Clock | None = None
    max_idle: float = 600.0
    transactions: Begins | None = None
    refusable: bool = True
    preparing: bool = True

    @classmethod
    def make(
        cls,
        dsn: str,
        *,
        schema: str,
        min_size: int,
        max_size: int,
        timeout: float,
        clock: Clock | None,
        keywords: dict[str, Any],
    ) -> Link:
        """Check and combine.

        Raises:
            InvalidOption: a value that cannot be. The connection string is not repeated: it may hold a password.
        """
        schema = check_schema_name(schema)
        min_size, max_size = check_id(min_size, "min_size"), check_id(max_size, "max_size")
        if min_size < 0 or max_size < max(1, min_size):
            sizes = f"min_size {shown(min_size)} and max_size {shown(max_size)}"
            msg = f"{sizes}: at least 0 and 1, the second not below the first"
            raise InvalidOption(msg)
        if not _is_seconds(timeout):
            msg = f"timeout {shown(timeout)} is not a number of seconds above 0, up to a day"
            raise InvalidOption(msg)
        if clock is not None and not callable(clock):
            msg = f"clock {shown(clock)} is not a function that tells the time, such as lambda: datetime.now(UTC)"
            raise InvalidOption(msg)
        return cls(
            conninfo=_combined(dsn, keywords),
            schema=schema,
            min_size=min_size,
            max_size=max_size,
            timeout=timeout,
            statements=Statements(schema, clock),
            clock=clock,
        )

    def check_permitted(self) -> None:
        """Refuse to go near a database in a test that did not ask for one.

        Raises:
            DatabaseRefused: the environment says so.
        """
        refusal = os.environ.get(REFUSAL)
        if refusal and self.refusable:
            raise DatabaseRefused(refusal)

    def stop_preparing(self) -> bool:
        """Do without prepared statements from now on; False if that was so already."""
        if not self.preparing:
            return False
        self.preparing = False
        logger.warning(
            "prepared statements were mixed up by a connection pooler; going on without them",
            extra={"action": "stop_preparing"},
        )
        return True

    @property
    def pool_options(self) -> dict[str, Any]:
        """Keywords for a pool of either colour."""
        return {
            "conninfo": self.conninfo,
            "min_size": self.min_size,
            "max_size": self.max_size,
            "timeout": self.timeout,
            "max_idle": self.max_idle,
            "num_workers": 1,
            # The pool doubles its pauses between attempts until it gives up, and the next caller starts it anew. Let it
            # give up soon, or after a long outage it stays away for as long again.
            "reconnect_timeout": 5.0,
            "name": "pq",
            "open": False,
        }

    @property
    def connection_options(self) -> dict[str, Any]:
        """Keywords for a connection of either colour."""
        return {"autocommit": True, "prepare_threshold": 5 if self.preparing else None}


def _combined(dsn: object, keywords: dict[str, Any]) -> str:
    """Return a connection string with the keywords beside it, the environment's, and our defaults."""
    if not isinstance(dsn, str):
        msg = f"the connection string is a {type(dsn).__qualname__}, not a text such as 'dbname=mine'"
        raise InvalidOption(msg)
    try:
        given = conninfo_to_dict(dsn, **keywords)
        for variable, keyword in _ENVIRONMENT.items():
            if variable in os.environ:
                given.setdefault(keyword, os.environ[variable])
        settings: dict[str, Any] = _DEFAULTS | given
        conninfo = make_conninfo(**settings)
        if "\x00" in f"{dsn}{conninfo}":
            raise ValueError("it holds a NUL character")  # noqa: TRY301 - libpq would stop reading there
    except (psycopg.Error, ValueError, TypeError) as fault:
        why = " ".join(str(fault).split())
        msg = f"the connection string, or a keyword beside it, is not one that libpq takes: {why}"
        raise InvalidOption(msg) from None
    return conninfo


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _LONGEST_TIMEOUT


def settings_to_mend(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], found: Any
) -> list[LiteralString]:
    """Return statements against what a database, or a role, may have set that pq could not work with.

    Args:
        connection: a new one.
        found: the row that it gave for :data:`ISOLATION`.
    """
    statements: list[LiteralString] = []
    if not (connection.info.parameter_status("DateStyle") or "").startswith("ISO"):
        statements.append("set datestyle = iso")
    if found != ("read committed",):
        statements.append("set session characteristics as transaction isolation level read committed")
    return statements


async def mend(connection: psycopg.AsyncConnection[Any]) -> None:
    """Undo what a database, or a role, may have set that pq could not work with."""
    for statement in settings_to_mend(connection, await (await connection.execute(ISOLATION)).fetchone()):
        await connection.execute(statement)
