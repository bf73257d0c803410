"""Which connections a frozen coroutine holds: those of the process whose death it stands for."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import suppress
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import psycopg

CONNECTIONS = (psycopg.Connection, psycopg.AsyncConnection)
MOST_OBJECTS = 20_000
"""Looked at, before it is given up: what a job holds is near."""
_NO_WAY_ON = (
    *(type, ModuleType, FunctionType, BuiltinFunctionType, CodeType),  # lead everywhere
    *(str, bytes, int, float, complex, bool, type(None)),
    *(asyncio.AbstractEventLoop, asyncio.Future),  # of others, too
)


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
    objects and their attributes; not through globals, and not through connections.
    """
    found: list[object] = [coroutine]
    seen = {id(coroutine)}
    for each in found:
        yield each
        if isinstance(each, CONNECTIONS):
            continue
        for other in gc.get_referents(each):
            if id(other) not in seen and not isinstance(other, _NO_WAY_ON):
                seen.add(id(other))
                found.append(other)
        if len(found) > MOST_OBJECTS:
            return
