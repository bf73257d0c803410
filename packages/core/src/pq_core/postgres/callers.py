"""What `connection=` may be: a connection of psycopg 3, or one of SQLAlchemy's or Django's that stands on it.

A library is known by the module in which it made a class, so that none is imported here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import psycopg

from pq_core.errors import WrongConnection

_WANTED = "psycopg 3, a Connection or Session of SQLAlchemy, or Django's connection"
_REMEDIES = {
    "sqlalchemy": "make the engine with 'postgresql+psycopg://...'",
    "django": "install psycopg, which Django prefers to psycopg2, and use the backend django.db.backends.postgresql",
}


def sync_driver(given: Any) -> psycopg.Connection[Any]:
    """Return the psycopg connection under what a caller gave who cannot await. Its transaction may begin by that.

    Raises:
        WrongConnection: there is none.
    """
    if isinstance(given, psycopg.Connection):
        return given  # pyright: ignore[reportUnknownVariableType]
    kind = kind_of(given)
    if kind not in _SYNC_DRIVERS:
        hint = f", an {type(given).__qualname__} wants defer_async" if is_async(given) else ""
        msg = f"connection= is a {_name(given)}; a synchronous call joins a transaction of {_WANTED}{hint}"
        raise WrongConnection(msg)
    driver = _SYNC_DRIVERS[kind](given)
    if not isinstance(driver, psycopg.Connection):
        raise _stands_on(given, driver, kind)
    return driver  # pyright: ignore[reportUnknownVariableType]


async def async_driver(given: Any) -> psycopg.AsyncConnection[Any]:
    """Return the psycopg connection under what a caller gave who can await. Its transaction may begin by that.

    Raises:
        WrongConnection: there is none.
    """
    if isinstance(given, psycopg.AsyncConnection):
        return given  # pyright: ignore[reportUnknownVariableType]
    kind = kind_of(given)
    if kind not in _ASYNC_DRIVERS:
        hint = f", a {type(given).__qualname__} wants defer" if _is_sync(given) else ""
        msg = (
            f"connection= is a {_name(given)}; an asynchronous call joins a transaction of an AsyncConnection of "
            f"psycopg 3, or an AsyncConnection or AsyncSession of SQLAlchemy{hint}"
        )
        raise WrongConnection(msg)
    driver = await _ASYNC_DRIVERS[kind](given)
    if not isinstance(driver, psycopg.AsyncConnection):
        raise _stands_on(given, driver, kind)
    return driver  # pyright: ignore[reportUnknownVariableType]


def kind_of(given: object) -> str:
    """Return the class of SQLAlchemy or Django that this is an instance of, as ``"library.Class"``; else nothing."""
    for made in type(given).__mro__:
        kind = f"{made.__module__.partition('.')[0]}.{made.__name__}"
        if kind in _SYNC_DRIVERS or kind in _ASYNC_DRIVERS:
            return kind
    return ""


def is_async(given: object) -> bool:
    """Whether what a caller gave has to be awaited."""
    return isinstance(given, psycopg.AsyncConnection) or kind_of(given) in _ASYNC_DRIVERS


def _is_sync(given: object) -> bool:
    return isinstance(given, psycopg.Connection) or kind_of(given) in _SYNC_DRIVERS


def _of_sqlalchemy(connection: Any) -> Any:
    if not connection.in_transaction():
        # Left to itself the driver would begin one that SQLAlchemy knows nothing of, and so never commits.
        connection.begin()
    return connection.connection.driver_connection


def _of_django(connection: Any) -> Any:
    if connection.connection is None:
        connection.ensure_connection()
    return connection.connection


async def _of_sqlalchemy_async(connection: Any) -> Any:
    if not connection.in_transaction():
        await connection.begin()
    return (await connection.get_raw_connection()).driver_connection


async def _of_async_session(session: Any) -> Any:
    return await _of_sqlalchemy_async(await session.connection())


_SYNC_DRIVERS: Mapping[str, Callable[[Any], Any]] = {
    "sqlalchemy.Connection": _of_sqlalchemy,
    "sqlalchemy.Session": lambda session: _of_sqlalchemy(session.connection()),
    "sqlalchemy.scoped_session": lambda session: _of_sqlalchemy(session.connection()),
    "django.BaseDatabaseWrapper": _of_django,
    "django.ConnectionProxy": _of_django,
}
_ASYNC_DRIVERS: Mapping[str, Callable[[Any], Awaitable[Any]]] = {
    "sqlalchemy.AsyncConnection": _of_sqlalchemy_async,
    "sqlalchemy.AsyncSession": _of_async_session,
    "sqlalchemy.async_scoped_session": _of_async_session,
}


def _stands_on(given: object, driver: object, kind: str) -> WrongConnection:
    library = kind.partition(".")[0]
    found = type(driver).__module__.partition(".")[0]
    return WrongConnection(
        f"connection= is a {_name(given)} that stands on {found}, and pq joins transactions of psycopg 3 only; "
        f"{_REMEDIES[library]}"
    )


def _name(given: object) -> str:
    library = type(given).__module__.partition(".")[0]
    return type(given).__qualname__ if library == "builtins" else f"{library}.{type(given).__qualname__}"
