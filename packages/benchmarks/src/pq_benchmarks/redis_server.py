"""A Redis with its built-in settings, for peers that keep their jobs there: they do not survive a power cut."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs
import psutil

_LONGEST_START = 10.0


@attrs.frozen(eq=False)
class RedisServer:
    """The server of one run, on a unix socket."""

    process: psutil.Process
    url: str

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has taken so far, and those that wrote snapshots for it."""
        times = self.process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)


@contextmanager
def redis_server(directory: Path) -> Generator[RedisServer | None]:
    """Start one with its files in `directory`, if the program is there."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        yield None
        return
    path = directory / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(path), "--dir", str(directory)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_for(path)
        yield RedisServer(psutil.Process(process.pid), f"unix://{path}?db=0")
    finally:
        process.terminate()
        process.wait()


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + _LONGEST_START
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(path))
            except OSError:
                time.sleep(0.02)
            else:
                return
    raise TimeoutError(f"Redis did not listen within {_LONGEST_START:.0f} s")
