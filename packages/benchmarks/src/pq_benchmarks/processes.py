"""The processes that are measured: workers that run until they are stopped, and clients that do one thing."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
import psutil

_POLL = 0.005
_GRACE = 15.0


class ProcessFailed(Exception):
    """A process of a contestant ended badly, or took too long; the message has the end of what it wrote."""


@attrs.define(eq=False)
class WorkerProcess:
    """A worker, and the processes that it has started."""

    process: psutil.Popen
    log: Path

    @classmethod
    def start(cls, command: Sequence[str], environment: Mapping[str, str], log: Path) -> Self:
        """Start it. Its standard input stays open for as long as this process lives."""
        with log.open("wb") as output:
            process = psutil.Popen(
                list(command),
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return cls(process, log)

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has taken so far."""
        return sum((times.user + times.system for times in self._each(lambda member: member.cpu_times())), 0.0)

    def rss_mb(self) -> float:
        """Return the memory that it holds, in millions of bytes."""
        return sum((memory.rss for memory in self._each(lambda member: member.memory_info())), 0.0) / 1e6

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until `condition` holds; return False if it does not within `seconds`.

        Raises:
            ProcessFailed: the worker has ended.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise ProcessFailed(f"the worker ended with status {self.process.returncode}:\n{_end_of(self.log)}")
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        family = [self.process, *_children(self.process)]
        if self.process.poll() is None:
            self.process.terminate()
        _, alive = psutil.wait_procs(family, timeout=_GRACE)
        for member in alive:
            member.kill()
        psutil.wait_procs(alive, timeout=_GRACE)
        if self.process.stdin is not None:
            self.process.stdin.close()

    def _each(self, read: Callable[[psutil.Process], Any]) -> Iterator[Any]:
        for member in (self.process, *_children(self.process)):
            try:
                yield read(member)
            except psutil.NoSuchProcess:
                continue


def run_client(command: Sequence[str], environment: Mapping[str, str], *, seconds: float) -> dict[str, Any]:
    """Run a process to its end; return what its last line of output says, which is JSON, or nothing.

    Raises:
        ProcessFailed: it failed, or took longer than `seconds`.
    """
    try:
        done = subprocess.run(
            list(command),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProcessFailed(f"{' '.join(command)} took longer than {seconds:.0f} s") from None
    if done.returncode:
        raise ProcessFailed(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return dict(json.loads(lines[-1])) if lines else {}


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:].strip()
