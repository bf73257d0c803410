"""The program of a child of a worker, in which jobs of tasks with ``executor="process"`` run, one after the other."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress
from contextvars import copy_context
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import attrs

from pq_core.context import CURRENT, JobContext, Stop
from pq_core.errors import InvalidJob, InvalidResult, Unsupported
from pq_core.import_path import load
from pq_core.middleware import surround
from pq_core.payload import dump
from pq_core.worker import importing
from pq_core.worker.orders import READY, Answer, Order, SetUp
from pq_core.worker.packed_error import pack

BETWEEN_LOOKS = 0.5
"""Seconds between looks whether the worker lives."""
ORPHANED = 70
"""Exit code of a child whose worker is gone."""


def main() -> NoReturn:
    """Run jobs until the worker closes the pipe, or is gone.

    The arguments of the program are the pipe's file descriptor, the worker's process id and its module search path.
    """
    number, worker = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(number, False)  # noqa: FBT003 - its only argument
    sys.argv[1:] = []
    for each in (signal.SIGINT, signal.SIGTERM):  # they go to a whole group of processes, and are the worker's to obey
        signal.signal(each, _go_on)
    threading.Thread(target=_die_with, args=(worker,), name="pq-orphan-watch", daemon=True).start()
    with suppress(EOFError, OSError):  # the worker has closed the pipe
        _serve(Connection(number))
    sys.exit()


def _go_on(*_: object) -> None:
    """Do nothing. Unlike a signal that is ignored, one that is handled has its usual effect on children of the task."""


def _die_with(worker: int) -> None:
    while os.getppid() == worker:
        time.sleep(BETWEEN_LOOKS)
    os._exit(ORPHANED)


def _serve(pipe: Connection) -> None:
    app: Any = None
    fault: BaseException | None = None
    try:
        app = _app(pickle.loads(pipe.recv_bytes()))  # noqa: S301 - of the worker
    except EOFError:
        raise
    except BaseException as error:  # noqa: BLE001 - whoever gives an order is told
        fault = error
    pipe.send_bytes(pickle.dumps(READY))
    while True:
        order = pickle.loads(pipe.recv_bytes())  # noqa: S301 - of the worker
        answer = _answer(app, order, Told(pipe)) if fault is None else Answer(error=pack(fault))
        pipe.send_bytes(pickle.dumps(answer))


def _app(set_up: SetUp) -> Any:
    with importing.app():
        app = load(set_up.app)
        _ = app.tasks
    app.connector = OutOfReach() if set_up.connector is None else pickle.loads(set_up.connector)  # noqa: S301 - as above
    return app


def _answer(app: Any, order: Order, told: Told) -> Answer:
    try:
        task = app.tasks[order.job.task]
        context = JobContext(job=order.job, task=task, app=app, worker_name=order.worker_name, run=told)
        args = (context, *order.args) if task.pass_context else order.args
        call = surround(task.func, app.middleware, task.middleware, is_async=False)
        surroundings = copy_context()
        surroundings.run(CURRENT.set, context)
        result = surroundings.run(call, context, args, order.kwargs)
        return Answer(result=_encoded(result) if task.store_result and result is not None else None)
    except BaseException as error:  # noqa: BLE001 - tasks may raise what they like
        return Answer(error=pack(error))


def _encoded(result: object) -> str:
    try:
        return dump(result, "result")
    except InvalidJob as reason:
        raise InvalidResult(str(reason)) from None
    except BaseException as reason:
        kind = type(result).__qualname__
        raise InvalidResult(f"a {kind} could not be encoded as JSON: {type(reason).__name__} was raised") from reason


@attrs.define(eq=False)
class Told:
    """The run of a job, as its own process knows it. It is never asked to stop: it is killed."""

    _pipe: Connection
    _lock: Any = attrs.field(init=False, factory=threading.Lock)
    progress: dict[str, Any] | None = attrs.field(init=False, default=None)

    def stop_reason(self) -> Stop | None:
        """Return None: whoever could hear a reason goes on."""
        return None

    def should_stop(self) -> bool:
        """Return False, likewise."""
        return False

    def tell(self, fraction: float | None, message: str | None) -> None:
        """Tell the worker how far the task is."""
        with self._lock:
            self.progress = {"fraction": fraction, "message": message}
            self._pipe.send_bytes(pickle.dumps((fraction, message)))


class OutOfReach:
    """In place of a connector that lives in the worker's process only."""

    def __getattr__(self, verb: str) -> NoReturn:
        raise Unsupported(
            f"a job in a process of its own has no connector (it asked for {verb!r}): that of its worker cannot be "
            "carried into another process, as jobs in memory cannot; leave out executor='process', or use PostgreSQL"
        )
