"""What every case stands on: the fixtures that a subclass gives, and the names of what its connector can."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, ClassVar, Protocol

import anyio
import pytest

from pq_core.connector import Connector
from pq_testing.conformance.scene import Scene

DEADLINE = 10.0
"""Seconds of real time after which a case that waits for something gives up."""


class Transactions(Protocol):
    """How a case opens a transaction of the caller's, to defer in.

    .. versionadded:: 0.1
    """

    def begin(self) -> AbstractAsyncContextManager[Any]:
        """Open a transaction and give its connection. It commits at the end, or rolls back if an exception leaves.

        After that the connection is of no use any more.
        """
        ...

    def savepoint(self, connection: Any) -> AbstractAsyncContextManager[Any]:
        """Set a savepoint, released at the end, or rolled back to if an exception leaves."""
        ...


class Undo(Exception):
    """Raised by a case to leave a transaction or savepoint without its work."""


class Case:
    """Fixtures and capabilities; what a subclass must give is `connector`, and `transactions` if it has them."""

    pytestmark = pytest.mark.anyio

    supports_connection: ClassVar[bool] = True
    """Whether `defer` takes a `connection=`. If not, it must say so with `WrongConnection`."""
    supports_transactions: ClassVar[bool] = True
    """Whether it is `pq_core.connector.Transactional`. If not, no task of it can be transactional."""
    supports_listen: ClassVar[bool] = True
    """Whether `listen` calls `wake`. If not, workers poll."""
    supports_schedules: ClassVar[bool] = True
    """Whether schedules can be stored. If not, each verb for them must say so with `Unsupported`."""
    supports_fork: ClassVar[bool] = True
    """Whether a connector in a fork of its process can be told so: on systems that fork, it must."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Name the event loop: override it, with parameters if you like."""
        return "asyncio"

    @pytest.fixture
    async def connector(self) -> Connector:
        """Give an open connector whose store holds no job, no worker and no paused queue."""
        pytest.fail(f"{type(self).__name__} must define the fixture `connector`")

    @pytest.fixture
    def transactions(self, connector: Connector) -> Transactions:  # noqa: ARG002 - what a subclass gives is made of it
        """Say how to open a transaction."""
        if not self.supports_connection:
            pytest.skip("supports_connection is False: this connector has no transactions")
        pytest.fail(f"{type(self).__name__} must define the fixture `transactions`, or say supports_connection = False")

    @pytest.fixture
    def scene(self, connector: Connector) -> Scene:
        """Set the clock."""
        return Scene(connector)


def in_time() -> AbstractContextManager[object]:
    """Give what is done inside of it until the deadline."""
    return anyio.fail_after(DEADLINE)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds, giving way to other tasks and threads.

    Raises:
        AssertionError: it does not hold in time; names `what`.
    """
    with anyio.move_on_after(DEADLINE):
        while not condition():  # noqa: ASYNC110 - what is waited for may come from another thread or process
            await anyio.sleep(0.001)
        return
    raise AssertionError(f"waited {DEADLINE:g} s in vain: {what}")
