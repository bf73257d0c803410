"""What an event loop of asyncio waits for beside its timers: replies, and threads.

Virtual time may not jump while an answer is on its way. What is on its way is told by who listens at a socket:

- A callback, as psycopg's, is there only while an answer is awaited. One that was set within virtual time is waited for
  however long it takes.
- A transport, as that of asyncpg or httpx, listens as long as its connection is open, and does not tell whether an
  answer is due. So do callbacks from outside of virtual time, such as a connection of the app's that listens for
  notifications. These are waited for until they have been quiet for `QUIET` seconds.
- A server's socket waits for nothing that the test waits for.

Functions in the threads of `asyncio.to_thread`, `loop.run_in_executor` and `anyio.to_thread` are waited for if they
were called within virtual time. Not seen are threads and processes that were started in other ways.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator
from contextvars import Context
from time import monotonic
from typing import Any

import anyio.to_thread
import attrs

QUIET = 0.25
"""Seconds without a byte after which the peer of an open connection counts as having nothing more to say."""

_Who = tuple[str, asyncio.BaseTransport | None]
_SERVERS = frozenset({"_read_from_self", "_accept_connection", "_sock_accept"})
"""Callbacks of asyncio's own that no answer comes to: the loop's alarm clock, and sockets that accept connections."""


class InFlight:
    """Knows what the running event loop waits for.

    Args:
        selector: the loop's.
        inside: tells of a context whether its code lives in virtual time.
    """

    def __init__(self, selector: selectors.BaseSelector, inside: Callable[[Context], bool]) -> None:
        self._selector = selector
        self._inside = inside
        self._calls = 0
        self._limiter = anyio.to_thread.current_default_thread_limiter()
        self._borrowed_before = self._limiter.borrowed_tokens
        self._heard: dict[int, tuple[list[_Who] | None, float]] = {}

    def take_note(self, events: list[tuple[selectors.SelectorKey, int]]) -> bool:
        """Take note of what has come; return whether anything but a call of the loop itself has."""
        now = monotonic()
        news = False
        for key, _ in events:
            if _listeners(key)[0].name != "_read_from_self":
                self._heard[key.fd] = (_who(key), now)
                news = True
        return news

    def watch_call(self, future: asyncio.Future[Any]) -> None:
        """Wait for a function that runs in a thread until `future` is done."""
        self._calls += 1
        future.add_done_callback(self._call_ended)

    def certain(self) -> bool:
        """Return whether something is on its way for certain."""
        borrowed = self._limiter.borrowed_tokens
        self._borrowed_before = min(self._borrowed_before, borrowed)
        if self._calls or borrowed > self._borrowed_before:
            return True
        return any(
            listener.transport is None and self._inside(listener.context)
            for key in self._keys()
            for listener in _listeners(key)
        )

    def may_come(self) -> float:
        """Return for how many seconds to listen for what may be on its way; 0 if nothing may."""
        now = monotonic()
        before, self._heard = self._heard, {}
        for key in self._keys():
            who = _who(key)
            known, since = before.get(key.fd, (None, now))
            self._heard[key.fd] = (who, since if known == who else now)
        return max((since + QUIET - now for _, since in self._heard.values()), default=0.0)

    def _call_ended(self, _: object) -> None:
        self._calls -= 1

    def _keys(self) -> Iterator[selectors.SelectorKey]:
        for key in list(self._selector.get_map().values()):
            if any(listener.name not in _SERVERS for listener in _listeners(key)):
                yield key


@attrs.frozen
class _Listener:
    """What is called when a socket can be read, or written to."""

    name: str
    transport: asyncio.BaseTransport | None
    context: Context


def _listeners(key: selectors.SelectorKey) -> list[_Listener]:
    return [_listener(handle) for handle in key.data if handle is not None and not handle.cancelled()]


def _listener(handle: Any) -> _Listener:
    callback = handle._callback  # noqa: SLF001 - asyncio tells in no other way who listens
    owner = getattr(callback, "__self__", None)
    return _Listener(
        name=getattr(callback, "__name__", ""),
        transport=owner if isinstance(owner, asyncio.BaseTransport) else None,
        context=handle._context,  # noqa: SLF001 - Handle.get_context() is of Python 3.12
    )


def _who(key: selectors.SelectorKey) -> list[_Who]:
    """Return who listens, without the context: psycopg begins anew, with the same callback, every tenth of a second."""
    return [(listener.name, listener.transport) for listener in _listeners(key)]
