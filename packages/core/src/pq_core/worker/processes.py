"""Processes for the tasks that want one of their own: children of the worker, used again, killed when told to stop.

Each child is a fresh Python that imports the app by its name, as `own_process` tells. A thread of the worker talks to
it while it runs a job; so there are never more than the worker runs jobs at once.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from multiprocessing.connection import Connection, Pipe
from time import monotonic
from typing import Any

import anyio
import attrs

from pq_core.context import Host
from pq_core.errors import InvalidOption, ProcessDied
from pq_core.job import Job
from pq_core.main_module import importable_name
from pq_core.payload import load
from pq_core.worker.orders import READY, Answer, Order, SetUp
from pq_core.worker.packed_error import unpack
from pq_core.worker.run import Run
from pq_core.worker.threads import Threads

BETWEEN_LOOKS = 1.0
"""Seconds between looks whether a silent child lives: a child of its own may hold its end of the pipe open."""
LONGEST_IDLE = 60.0
"""Seconds after which a child ends that nobody has needed: each holds the memory of an app."""
LONGEST_START = 60.0
"""Seconds that a child may take to begin, where a job may not take as long as it likes."""
FAREWELL = 1.0
"""Seconds for idle children to end by themselves."""
_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[3]); from pq_core.worker.own_process import main; main()"


@attrs.define(eq=False)
class Child:
    """One process, and the pipe to it.

    Attributes:
        ready: whether it has imported the app.
        idle_since: when it ended its last job, in seconds of `time.monotonic`.
    """

    process: subprocess.Popen[bytes]
    pipe: Connection
    ready: bool = False
    idle_since: float = attrs.field(factory=monotonic)

    @classmethod
    def start(cls, set_up: SetUp) -> Child:
        """Start a process; it is told what to import."""
        ours, theirs = Pipe()
        with theirs:
            number = theirs.fileno()
            words = [sys.executable, "-c", _BOOT, str(number), str(os.getpid()), json.dumps(sys.path)]
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=[number])  # noqa: S603 - our own words
        child = cls(process, ours)
        ours.send_bytes(pickle.dumps(set_up))
        return child

    @property
    def alive(self) -> bool:
        """Whether it can take an order."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End it at once, whatever it does."""
        self.process.kill()

    def begin(self) -> None:
        """Wait until it has imported the app, or has died."""
        try:
            self.ready = self._hear() == READY
        except (EOFError, OSError):
            return

    def perform(self, order: Order, run: Run) -> Answer | None:
        """Let it run a job; return what came of it, or None if it has died. Waits; what it tells, `run` is told."""
        try:
            self.pipe.send_bytes(pickle.dumps(order))
            while True:
                told = self._hear()
                if isinstance(told, Answer):
                    return told
                run.tell(*told)
        except (EOFError, OSError):
            return None

    def _hear(self) -> Any:
        """Wait for what it says next.

        Raises:
            EOFError: it has died.
            OSError: likewise.
        """
        while not self.pipe.poll(BETWEEN_LOOKS):
            if not self.alive and not self.pipe.poll():
                raise EOFError
        return pickle.loads(self.pipe.recv_bytes())  # noqa: S301 - of a child, which runs our code


class Processes:
    """Children that wait for jobs, started when first needed.

    Args:
        app: whose tasks they run.
        threads: where they are talked to.
        worker_name: what jobs are told that their worker is called.
    """

    def __init__(self, app: Host, *, threads: Threads, worker_name: str) -> None:
        self._app = app
        self._threads = threads
        self._worker_name = worker_name
        self._set_up: SetUp | None = None
        self._children: set[Child] = set()
        self._idle: list[Child] = []
        """The one that was used last is the last, and is used next."""
        self._leaving: list[Child] = []

    async def run(self, run: Run, seconds: float | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a job in a process; return what its task returns, raise what it raises. To stop it is to kill it.

        Args:
            run: of the job.
            seconds: that it may take, from when its process has begun; None: as many as it likes.
            args: of the task, by position, without the context.
            kwargs: of the task, by name.

        Raises:
            ProcessDied: the process has ended before the task did.
        """
        child = self._take()
        order = Order(job=run.job, args=args, kwargs=kwargs, worker_name=self._worker_name)
        answer: Answer | None = None
        run.interrupt, run.interruptible = child.kill, True
        try:
            if run.stop_asked is not None:
                child.kill()
            if not child.ready:  # an app may take longer to import than a job to run
                async with _stopping(run, None if seconds is None else max(seconds, LONGEST_START)):
                    await self._threads.run(child.begin)
            async with _stopping(run, seconds):
                answer = await self._threads.run(partial(child.perform, order, run))
        finally:
            run.interruptible = False
            if answer is None:
                child.kill()
        if answer is None:
            exit_code = self._bury(child)
            run.stop_seen = run.stop_asked is not None
            raise ProcessDied(_obituary(run.job, exit_code), exit_code=exit_code)
        child.idle_since = monotonic()
        self._idle.append(child)
        if answer.error is not None:
            raise unpack(answer.error)
        return None if answer.result is None else load(answer.result)

    async def keep_few(self) -> None:
        """End children that have been idle for long, until cancelled."""
        while True:
            await anyio.sleep(LONGEST_IDLE / 4)
            while self._idle and monotonic() - self._idle[0].idle_since > LONGEST_IDLE:
                child = self._idle.pop(0)
                child.pipe.close()  # by that it ends
                self._leaving.append(child)
            for child in [each for each in self._leaving if not each.alive]:
                self._leaving.remove(child)
                self._bury(child)

    async def close(self) -> None:
        """End all children: idle ones by themselves, if they can; those that run jobs have been killed."""
        while self._idle:
            self._idle.pop().pipe.close()
        with anyio.move_on_after(FAREWELL):
            while any(child.alive for child in self._children):  # noqa: ASYNC110 - nobody announces the end of a process
                await anyio.sleep(0.01)
        for child in list(self._children):
            child.kill()
            self._bury(child)

    def _bury(self, child: Child) -> int:
        """Wait for the end of a child that is killed, or dead; return its exit code."""
        self._children.discard(child)
        child.pipe.close()
        return child.process.wait()

    def _take(self) -> Child:
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            self._bury(child)
        if self._set_up is None:
            self._set_up = SetUp(app=path_of(self._app), connector=_pickled(self._app.connector))
        child = Child.start(self._set_up)
        self._children.add(child)
        return child


def require_path(app: Host) -> None:
    """Refuse an app with tasks for processes that could not import it.

    Raises:
        InvalidOption: it is such a one.
    """
    if any(task.executor == "process" for task in app.tasks.values()):
        path_of(app)


def path_of(app: Host) -> str:
    """Return the name, such as ``package.module:app``, by which another process can import the app.

    Raises:
        InvalidOption: it has none, because it is no global of a module; or the system has no such processes.
    """
    if os.name != "posix":
        raise InvalidOption("executor='process' needs a POSIX system, such as Linux or macOS")
    for module_name, module in list(sys.modules.items()):
        names: dict[str, Any] = getattr(module, "__dict__", None) or {}
        for name, value in list(names.items()):
            if value is app:
                return f"{importable_name(module_name)}:{name}"
    task = next((task.name for task in app.tasks.values() if task.executor == "process"), "")
    raise InvalidOption(
        f"task {task!r} has executor='process', so another process must be able to import the app; but it is no global "
        "of a module: make it one, as in `app = pq.App(...)`"
    )


def _pickled(connector: object) -> bytes | None:
    """Return the connector as another process can have it; None if it belongs to this one, as memory does."""
    if type(connector).__reduce__ is object.__reduce__:
        return None
    try:
        return pickle.dumps(connector)
    except Exception:  # noqa: BLE001 - a clock, say, that is a function of a test
        return None


@asynccontextmanager
async def _stopping(run: Run, seconds: float | None) -> AsyncGenerator[None]:
    """Stop a run in so many seconds from now, unless the block has ended by then."""
    async with anyio.create_task_group() as group:
        if seconds is not None:
            group.start_soon(_stop_later, run, seconds)
        yield
        group.cancel_scope.cancel()


async def _stop_later(run: Run, seconds: float) -> None:
    await anyio.sleep(seconds)
    run.stop("timeout")


def _obituary(job: Job, exit_code: int) -> str:
    if exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"signal {-exit_code}"
        return f"the process in which job {job.id} ran was killed by {name}"
    return f"the process in which job {job.id} ran ended with exit code {exit_code}"
