"""A savepoint in a caller's transaction, made through the caller's own library, whose idea of the state stays right."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, Protocol, TypeVar

import attrs
import psycopg
from psycopg.pq import TransactionStatus

from pq_core.errors import TransactionRequired
from pq_core.postgres.callers import async_driver, is_async, kind_of, sync_driver

T = TypeVar("T")


class Call(Protocol):
    """How to call code of the caller's library that may wait."""

    def __call__(self, function: Callable[[], T], /) -> T: ...


@attrs.define
class Savepoint:
    """A place in a transaction to go back to. It is ended once, by one of its methods.

    .. versionadded:: 0.1
    """

    _failed: Callable[[], Awaitable[bool]]
    _end: Callable[[bool], Awaitable[None]]

    async def rollback(self) -> None:
        """Undo what was done since."""
        await self._end(False)  # noqa: FBT003 - whether to keep it

    async def release(self) -> None:
        """Keep what was done since.

        Raises:
            TransactionRequired: an error of the database was caught since, but not undone, so there is nothing to keep;
                or the transaction has ended meanwhile.
        """
        if await self._failed():
            await self.rollback()
            msg = (
                "an error of the database was caught and its transaction used on; PostgreSQL keeps nothing of that: "
                "catch it around a savepoint, such as `with connection.transaction():`"
            )
            raise TransactionRequired(msg)
        await self._end(True)  # noqa: FBT003 - as above


async def make_savepoint(given: Any, call: Call) -> Savepoint:
    """Return a new savepoint in the transaction of `given`; what is synchronous goes through `call` and never waits."""
    if is_async(given):
        return await _make_async(given)

    def make() -> Callable[[bool], None]:
        if kind_of(given).startswith("sqlalchemy"):
            nested = given.begin_nested()
            return lambda keep: _end_nested(nested, nested.commit if keep else nested.rollback)
        block = _atomic(given) if kind_of(given) else given.transaction()
        block.__enter__()
        return lambda keep: _leave(block, keep=keep)

    end = call(make)

    async def ended(keep: bool) -> None:  # noqa: FBT001 - one of two ends
        call(lambda: end(keep))

    async def failed() -> bool:
        return call(lambda: _has_failed(sync_driver(given)))

    return Savepoint(failed, ended)


async def _make_async(given: Any) -> Savepoint:
    async def failed() -> bool:
        return _has_failed(await async_driver(given))

    if kind_of(given):
        nested = await given.begin_nested()

        async def ended(keep: bool) -> None:  # noqa: FBT001 - one of two ends
            _check_active(nested)
            await (nested.commit() if keep else nested.rollback())
    else:
        block = given.transaction()
        await block.__aenter__()

        async def ended(keep: bool) -> None:  # noqa: FBT001 - as above
            await block.__aexit__(*_reason(keep=keep))

    return Savepoint(failed, ended)


def _atomic(given: Any) -> contextlib.AbstractContextManager[Any]:
    block: contextlib.AbstractContextManager[Any] = import_module("django.db.transaction").atomic(using=given.alias)
    return block


def _leave(block: contextlib.AbstractContextManager[Any], *, keep: bool) -> None:
    block.__exit__(*_reason(keep=keep))


def _reason(*, keep: bool) -> tuple[Any, Any, None]:
    return (None, None, None) if keep else (psycopg.Rollback, psycopg.Rollback(), None)


def _end_nested(nested: Any, end: Callable[[], object]) -> None:
    _check_active(nested)
    end()


def _check_active(nested: Any) -> None:
    if not nested.is_active:
        msg = (
            "the transaction was committed or rolled back as a whole meanwhile, by code that was to be a part of it; "
            "let that code use a savepoint, such as `with session.begin_nested():`"
        )
        raise TransactionRequired(msg)


def _has_failed(driver: Any) -> bool:
    return driver.info.transaction_status == TransactionStatus.INERROR  # type: ignore[no-any-return]
