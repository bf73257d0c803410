"""With which number `pq` ends. docs/reference/cli.md lists them."""

from __future__ import annotations

from pq_core.errors import (
    AppNotFound,
    ConnectionFailed,
    InvalidArguments,
    InvalidJob,
    InvalidOption,
    PQError,
    SchemaError,
    TaskNotFound,
)

DONE = 0
FAILED = 1
USAGE = 2
APP_NOT_FOUND = 3
DATABASE_AWAY = 4
SCHEMA_UNFIT = 5
HELD_UP = 6

_CODES: dict[type[PQError], int] = {
    AppNotFound: APP_NOT_FOUND,
    ConnectionFailed: DATABASE_AWAY,
    SchemaError: SCHEMA_UNFIT,
    InvalidArguments: USAGE,
    InvalidJob: USAGE,
    InvalidOption: USAGE,
    TaskNotFound: USAGE,
}


def exit_code(error: PQError) -> int:
    """Return the number that tells a script what kind of error it was."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), FAILED)
