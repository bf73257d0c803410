"""The threads in which sync tasks run."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from pq_core.worker.threads import Threads

pytestmark = pytest.mark.anyio


async def test_a_thread_that_nobody_waits_for_any_more_ends_with_its_call(until: Any) -> None:
    """An app that starts and cancels workers would gather threads, and in tests no stage could tell of a standstill."""
    called: list[threading.Thread] = []
    gate = threading.Event()

    def call() -> None:
        called.append(threading.current_thread())
        gate.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(Threads().run, call)
        await until(lambda: called)
        group.cancel_scope.cancel()
    assert called[0].is_alive()
    gate.set()
    await until(lambda: not called[0].is_alive())
