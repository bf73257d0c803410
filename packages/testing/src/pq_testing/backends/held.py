"""Which connections a frozen coroutine holds: those of the process whose death it stands for."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import suppress
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import psycopg

from pq_core.app import App
from pq_core.postgres.connector import PsycopgConnector

CONNECTIONS = (psycopg.Connection, psycopg.AsyncConnection)
MOST_OBJECTS = 20_000
"""Looked at, before it is given up: what a job holds is near."""
_NO_WAY_ON = (
    *(type, ModuleType, FunctionType, BuiltinFunctionType, CodeType),  # lead everywhere
    *(str, bytes, int, float, complex, bool, type(None)),
    *(asyncio.AbstractEventLoop, asyncio.Future),  # of others, too
    *(App, PsycopgConnector),  # pq's own connections are pq's business
)
_NO_WAY_ON_IN = frozenset({"pq_core", "pq_testing", "pytest", "_pytest"})
"""Packages whose objects lead to the other workers, and to the jobs that these run."""


def held_connections(coroutine: object) -> Iterator[psycopg.Connection[Any] | psycopg.AsyncConnection[Any]]:
    """Yield the open connections of psycopg that a suspended coroutine holds."""
    for each in _reachable(coroutine):
        if isinstance(each, CONNECTIONS) and not each.closed:
            yield each


def held_sockets(coroutine: object) -> Iterator[int]:
    """Yield the sockets of async connections that a suspended coroutine holds, also of those not established yet."""
    for each in _reachable(coroutine):
        if isinstance(each, (psycopg.AsyncConnection, psycopg.pq.PGconn)):
            with suppress(psycopg.Error):  # closed, or not open yet
                yield each.fileno() if isinstance(each, psycopg.AsyncConnection) else each.socket


def _reachable(coroutine: object) -> Iterator[object]:
    """Yield what can be reached from what a suspended coroutine has on its stack.

    That goes through variables, contexts that were entered, awaited coroutines and async generators, and through
    objects and their attributes; not through globals, not through connections, and not through pq's own objects, of
    which a job may hold its context, its app or what runs the test's jobs.
    """
    found: list[object] = [coroutine]
    seen = {id(coroutine)}
    for each in found:
        yield each
        if isinstance(each, CONNECTIONS) or _is_of_all(each):
            continue
        for other in gc.get_referents(each):
            if id(other) not in seen and not isinstance(other, _NO_WAY_ON):
                seen.add(id(other))
                found.append(other)
        if len(found) > MOST_OBJECTS:
            return


def _is_of_all(value: object) -> bool:
    return any(made.__module__.partition(".")[0] in _NO_WAY_ON_IN for made in type(value).__mro__)
