"""What `connection=` may be: a connection of psycopg 3, or one of SQLAlchemy's or Django's that stands on it.

To defer, a connection of psycopg2 or asyncpg will do as well. A library is known by the module in which it made a
class, so that none is imported here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import psycopg

from pq_core.errors import WrongConnection

_WANTED = "psycopg 3 or psycopg2, a Connection or Session of SQLAlchemy, or Django's connection"
_REMEDIES = {
    "sqlalchemy": "make the engine with 'postgresql+psycopg://...'",
    "django": "install psycopg, which Django prefers to psycopg2, and use the backend django.db.backends.postgresql",
}


def sync_driver(given: Any) -> psycopg.Connection[Any]:
    """Return the psycopg connection under what a caller gave who cannot await. Its transaction may begin by that.

    Raises:
        WrongConnection: there is none.
    """
    driver = any_sync_driver(given)
    if not isinstance(driver, psycopg.Connection):
        raise _stands_on(given, driver)
    return driver  # pyright: ignore[reportUnknownVariableType]


def any_sync_driver(given: Any) -> Any:
    """Return what is under what a caller gave who cannot await: a connection of psycopg 3, or of another driver.

    Raises:
        WrongConnection: it is none, or one that has to be awaited.
    """
    if isinstance(given, psycopg.Connection):
        return given  # pyright: ignore[reportUnknownVariableType]
    kind = kind_of(given)
    if kind not in _SYNC_DRIVERS:
        hint = f", an {type(given).__qualname__} wants defer_async" if is_async(given) else ""
        msg = f"connection= is a {_name(given)}; a synchronous call joins a transaction of {_WANTED}{hint}"
        raise WrongConnection(msg)
    return _SYNC_DRIVERS[kind](given)


def is_psycopg2(driver: object) -> bool:
    """Whether it is a connection of psycopg2."""
    return not isinstance(driver, psycopg.Connection) and kind_of(driver) == "psycopg2.connection"


async def async_driver(given: Any) -> psycopg.AsyncConnection[Any]:
    """Return the psycopg connection under what a caller gave who can await. Its transaction may begin by that.

    Raises:
        WrongConnection: there is none.
    """
    driver = await any_async_driver(given)
    if not isinstance(driver, psycopg.AsyncConnection):
        raise _stands_on(given, driver)
    return driver  # pyright: ignore[reportUnknownVariableType]


async def any_async_driver(given: Any) -> Any:
    """Return what is under what a caller gave who can await: a connection of psycopg 3, or of another driver.

    Raises:
        WrongConnection: it is none, or one that cannot be awaited.
    """
    if isinstance(given, psycopg.AsyncConnection):
        return given  # pyright: ignore[reportUnknownVariableType]
    kind = kind_of(given)
    if kind not in _ASYNC_DRIVERS:
        hint = f", a {type(given).__qualname__} wants defer" if _is_sync(given) else ""
        msg = (
            f"connection= is a {_name(given)}; an asynchronous call joins a transaction of an AsyncConnection of "
            f"psycopg 3, a Connection of asyncpg, or an AsyncConnection or AsyncSession of SQLAlchemy{hint}"
        )
        raise WrongConnection(msg)
    return await _ASYNC_DRIVERS[kind](given)


def is_asyncpg(driver: object) -> bool:
    """Whether it is a connection of asyncpg."""
    return not isinstance(driver, psycopg.AsyncConnection) and kind_of(driver).startswith("asyncpg.")


async def sqlalchemy_connection(given: Any) -> Any:
    """Return the AsyncConnection of SQLAlchemy that a caller gave, or whose session; None if it is none of those."""
    kind = kind_of(given)
    if not kind.startswith("sqlalchemy"):
        return None
    return given if kind == "sqlalchemy.AsyncConnection" else await given.connection()


def kind_of(given: object) -> str:
    """Return the class of another library that this is an instance of, as ``"library.Class"``; else nothing."""
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


async def _itself(connection: Any) -> Any:
    return connection


_SYNC_DRIVERS: Mapping[str, Callable[[Any], Any]] = {
    "sqlalchemy.Connection": _of_sqlalchemy,
    "sqlalchemy.Session": lambda session: _of_sqlalchemy(session.connection()),
    "sqlalchemy.scoped_session": lambda session: _of_sqlalchemy(session.connection()),
    "django.BaseDatabaseWrapper": _of_django,
    "django.ConnectionProxy": _of_django,
    "psycopg2.connection": lambda connection: connection,
}
_ASYNC_DRIVERS: Mapping[str, Callable[[Any], Awaitable[Any]]] = {
    "sqlalchemy.AsyncConnection": _of_sqlalchemy_async,
    "sqlalchemy.AsyncSession": _of_async_session,
    "sqlalchemy.async_scoped_session": _of_async_session,
    "asyncpg.Connection": _itself,
    "asyncpg.PoolConnectionProxy": _itself,
}


def _stands_on(given: object, driver: object) -> WrongConnection:
    library = kind_of(given).partition(".")[0]
    found = type(driver).__module__.partition(".")[0]
    stands = "" if driver is given else f" that stands on {found}"
    remedy = _REMEDIES.get(library, "pass a connection of psycopg 3")
    return WrongConnection(f"connection= is a {_name(given)}{stands}, and this works through psycopg 3 only; {remedy}")


def _name(given: object) -> str:
    library = type(given).__module__.partition(".")[0]
    return type(given).__qualname__ if library == "builtins" else f"{library}.{type(given).__qualname__}"
