"""What an event loop of asyncio waits for beside its timers: replies, and threads.

Virtual time may not jump while an answer is on its way. What is on its way is told by who listens at a socket:

- A callback, as psycopg's, is there only while an answer is awaited. One that was set within virtual time is waited for
  however long it takes.
- A callback from outside of virtual time may be that of a connection which waits for notifications, for ever. It is
  waited for until it has been quiet for `QUIET` seconds.
- A transport, as that of asyncpg or httpx, listens as long as its connection is open, and does not tell whether an
  answer is due. It is after something was written, and is waited for `ANSWER` seconds; and there may be more to come
  after something was read, which is waited for `QUIET` seconds.
- A socket that accepts connections waits for nothing that the test waits for. A server's side of a connection, and
  datagrams, are owed no answer: they are waited for until they have been quiet for `QUIET` seconds.

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

QUIET = 0.1
"""Seconds without a byte after which a peer counts as having nothing more to say."""
ANSWER = 5.0
"""Seconds within which a peer has to begin to answer what was written to an open connection."""

_SERVERS = frozenset({"_read_from_self", "_accept_connection", "_sock_accept"})
"""Callbacks of asyncio's own that no answer comes to: calls from other threads, and sockets that accept connections."""
_WRITES = ("write", "writelines")


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
        self._callbacks: dict[int, tuple[str, float]] = {}
        self._transports: dict[asyncio.BaseTransport, _Conversation] = {}
        for listener in self._listeners():
            if listener.transport is not None:
                self._transports[listener.transport] = _Conversation.overheard(listener.transport, patience=0.0)

    def close(self) -> None:
        """Listen to no transport any more."""
        for conversation in self._transports.values():
            conversation.leave()
        self._transports.clear()

    def take_note(self, events: list[tuple[selectors.SelectorKey, int]]) -> None:
        """Take note of what has come."""
        now = monotonic()
        for key, _ in events:
            for listener in _listeners(key):
                if listener.transport is None:
                    self._callbacks[key.fd] = (listener.name, now)
                elif listener.transport in self._transports:
                    self._transports[listener.transport].expect(QUIET)

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
        return any(listener.transport is None and self._inside(listener.context) for listener in self._listeners())

    def may_come(self) -> float:
        """Return for how many seconds to listen for what may be on its way; 0 or less if nothing may."""
        now = monotonic()
        before, self._callbacks = self._callbacks, {}
        longest = 0.0
        for listener in self._listeners():
            if listener.transport is None:
                # The name, not the callback: psycopg takes another of the same name every tenth of a second.
                name, since = before.get(listener.fd, (None, now))
                since = since if name == listener.name else now
                self._callbacks[listener.fd] = (listener.name, since)
                longest = max(longest, since + QUIET - now)
            else:
                conversation = self._transports.get(listener.transport)
                if conversation is None:
                    conversation = _Conversation.overheard(listener.transport, patience=ANSWER)
                    self._transports[listener.transport] = conversation
                longest = max(longest, conversation.until - now)
        return longest

    def _call_ended(self, _: object) -> None:
        self._calls -= 1

    def _listeners(self) -> Iterator[_Listener]:
        for key in list(self._selector.get_map().values()):
            for listener in _listeners(key):
                if listener.name not in _SERVERS:
                    yield listener


@attrs.define(eq=False)
class _Conversation:
    """What is said through a transport.

    Attributes:
        unasked: whether the peer owes no answer to what is written.
        until: when, on the monotonic clock, nothing more is to be expected.
    """

    transport: Any
    unasked: bool
    until: float = 0.0

    @classmethod
    def overheard(cls, transport: asyncio.BaseTransport, *, patience: float) -> _Conversation:
        """Begin to notice what is written."""
        unasked = getattr(transport, "_server", None) is not None or isinstance(transport, asyncio.DatagramTransport)
        conversation = cls(transport, unasked=unasked)
        conversation.expect(patience)
        for name in _WRITES:
            if hasattr(transport, name) and hasattr(transport, "__dict__"):
                vars(transport)[name] = conversation._noticing(getattr(transport, name))
        return conversation

    def leave(self) -> None:
        """Notice nothing any more."""
        for name in _WRITES:
            getattr(self.transport, "__dict__", {}).pop(name, None)

    def expect(self, patience: float) -> None:
        """Expect the peer to say something for that many seconds."""
        self.until = monotonic() + (min(patience, QUIET) if self.unasked else patience)

    def _noticing(self, write: Callable[[Any], None]) -> Callable[[Any], None]:
        def noticed(data: Any) -> None:
            self.expect(ANSWER)
            write(data)

        return noticed


@attrs.frozen
class _Listener:
    """What is called when a socket can be read, or written to."""

    fd: int
    name: str
    transport: asyncio.BaseTransport | None
    context: Context


def _listeners(key: selectors.SelectorKey) -> list[_Listener]:
    return [_listener(key.fd, handle) for handle in key.data if handle is not None and not handle.cancelled()]


def _listener(fd: int, handle: Any) -> _Listener:
    callback = handle._callback  # noqa: SLF001 - asyncio tells in no other way who listens
    owner = getattr(callback, "__self__", None)
    return _Listener(
        fd=fd,
        name=getattr(callback, "__name__", ""),
        transport=owner if isinstance(owner, asyncio.BaseTransport) else None,
        context=handle._context,  # noqa: SLF001 - Handle.get_context() is of Python 3.12
    )
