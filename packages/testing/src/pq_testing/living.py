"""What surrounds the life of a worker, around what stands for a worker in tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from pq_core.app import App
from pq_core.lifespan import entered
from pq_core.worker import Worker

NOT_GIVEN: Any = object()
"""In place of a state: None is one."""


@asynccontextmanager
async def living(app: App, name: str, state: Any) -> AsyncGenerator[Any]:
    """Give what jobs find as ``context.state``: what the test has given, or else the app's `worker_lifespan` gives.

    Args:
        app: whose jobs run.
        name: of what stands for a worker.
        state: the test's; if it has given none, the lifespan is entered, and left at the end.
    """
    if state is not NOT_GIVEN:
        yield state
    elif app.worker_lifespan is None:
        yield None
    else:
        worker = Worker(app, name=name, wait=False, install_signal_handlers=False)
        async with entered(app.worker_lifespan, worker) as own:
            yield own
