"""The session's end of the pipe to the supervisor of a server."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import attrs

from pq_testing.postgres.account import Account
from pq_testing.postgres.cache import child_environ
from pq_testing.postgres.directory import ServerDirectory
from pq_testing.postgres.errors import ServerNotStarted

_PROGRAM = Path(__file__).with_name("supervisor.py")
_LOG_BYTES = 4096
_GRACE = 15.0

Command = Literal["start", "stop", "shutdown", "crash", "status"]


@attrs.define(eq=False)
class Supervision:
    """A supervisor process and what to say to it."""

    _process: subprocess.Popen[bytes]
    _directory: Path
    _timeout: float
    _received: bytes = b""
    _turn: threading.Lock = attrs.field(factory=threading.Lock)

    @classmethod
    def begin(
        cls,
        directory: ServerDirectory,
        account: Account,
        command: Sequence[str],
        *,
        timeout: float,
        watch: int | None = None,
    ) -> Supervision:
        """Start the supervisor, which takes over `directory` and its lock. It does not start the server yet.

        Args:
            directory: of the server; removed by the supervisor when this process ends.
            account: user that the supervisor and the server run as.
            command: of the server.
            timeout: in seconds, for each start and stop of the server.
            watch: process id of an ancestor of this process, whose end ends the server instead of this one's.
        """
        plan = {
            "owner": os.getpid(),
            "watch": watch,
            "directory": str(directory.path),
            "lock": directory.lock,
            "command": list(command),
            "environ": child_environ(),
            "timeout": timeout,
            **{name: getattr(account, name) for name in ("switch", "uid", "gid")},
        }
        # In a session of its own: Ctrl-C in the terminal is for the tests, not for their server.
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[directory.lock],
            start_new_session=True,
        )
        supervision = cls(process, directory.path, timeout)
        supervision._say(json.dumps(plan))
        return supervision

    def ask(self, command: Command) -> Mapping[str, object]:
        """Have the supervisor do one thing, and wait for it.

        Raises:
            ServerNotStarted: if it could not, or is gone.
        """
        with self._turn:
            self._say(command)
            answer = json.loads(self._line())
        if answer["error"]:
            raise ServerNotStarted(f"PostgreSQL did not start: {answer['error']}", log=self.log())
        return dict(answer)

    def end(self) -> None:
        """End the server and remove its directory. In a forked child, or under an ancestor, this only lets go of it."""
        with self._turn:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            try:
                self._process.wait(self._timeout + _GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def running(self) -> bool:
        """Tell whether the server is up."""
        return (
            self._process.stdin is not None and not self._process.stdin.closed and self.ask("status")["pid"] is not None
        )

    def log(self) -> str:
        """Return the last lines of what the server wrote."""
        try:
            return (self._directory / "log").read_bytes()[-_LOG_BYTES:].decode(errors="replace").strip()
        except OSError:
            return ""

    def _say(self, line: str) -> None:
        if self._process.stdin is None or self._process.stdin.closed:
            raise ServerNotStarted("the server was stopped: start another one")
        try:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ServerNotStarted("the supervisor of the server is gone", log=self.log()) from None

    def _line(self) -> bytes:
        pipe = self._process.stdout
        deadline = time.monotonic() + self._timeout + _GRACE
        while pipe is not None and b"\n" not in self._received:
            readable, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(pipe.fileno(), 65536) if readable else b""
            if not chunk:
                raise ServerNotStarted("the supervisor of the server is gone, or does not answer", log=self.log())
            self._received += chunk
        line, self._received = self._received.split(b"\n", 1)
        return line
