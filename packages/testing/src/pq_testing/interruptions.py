"""Errors that come out of a job and are none of the job's: the test is to end, or to wait no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

OF_THE_TEST = (KeyboardInterrupt, pytest.fail.Exception, pytest.skip.Exception, pytest.exit.Exception)
"""Ctrl-C, `pytest.fail`, `skip`, `xfail` and `exit`; pytest-timeout fails a test in the midst of a job."""


def interruptions() -> Callable[[BaseException], bool]:
    """Return what tells of an error, raised from here on, whether it is none of a job's.

    So is the cancellation of this task; and not one that a job has raised or come by in a way of its own.
    """
    task = _task()
    before = 0 if task is None else task.cancelling()

    def interrupts(error: BaseException) -> bool:
        if isinstance(error, asyncio.CancelledError):
            return task is not None and task.cancelling() > before
        return isinstance(error, OF_THE_TEST)

    return interrupts


def _task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # trio's, where the executor knows a cancellation by itself
        return None
