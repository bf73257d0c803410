"""Run one PostgreSQL server, and end it when the process that asked for it is gone.

A program, not a module: `supervision.py` starts it with a bare interpreter, so it imports the standard library only.
Between the test session and the server it is what survives a SIGKILL of the session. The session may start it from any
thread: its end is seen as the end of a pipe (and, where a forked child keeps that pipe open, as another parent).

A server that several sessions share is ended when one process is gone that all of them descend from: the plan names it
as `watch`. Its supervisor is nobody's child, and starts the server again if that ends by itself.

It holds the lock of the server's directory for as long as that is in use, and removes the directory at the end.

Lines in: one plan (JSON), then `start`, `stop`, `shutdown`, `crash` or `status`. Lines out: for each of these, one JSON
object with `error` (text, empty if it went well) and `pid` (of the server, null if it is down).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_IPC_RMID = 0
_POLL = 0.003
_PARENT_CHECK = 1.0
_WATCH_CHECK = 0.1
_MOST_DEATHS = 20


class OwnerGone(Exception):
    """The process that asked for the server has ended, or wants no more."""


class Refused(Exception):
    """The command failed; the message goes back to the owner."""


def main() -> None:
    """Serve the owner's commands, then leave nothing behind."""
    owner = Owner(os.getppid())
    plan: dict[str, Any] = json.loads(owner.line() or "{}")
    if owner.pid != plan["owner"]:
        return
    if plan["watch"]:
        try:
            owner = Ancestor(plan["watch"], owner.received)
        except OwnerGone:
            return
        if os.fork():
            os._exit(0)
    become(plan)
    server = Postgres(plan, owner)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    try:
        serve(owner, server)
    except (OwnerGone, BrokenPipeError):
        pass
    finally:
        server.kill(signal.SIGQUIT)
        server.forget_shared_memory()
        shutil.rmtree(plan["directory"], ignore_errors=True)


def become(plan: dict[str, Any]) -> None:
    """Drop root's rights, where there are any, and stay the parent of all that the server leaves behind."""
    os.set_inheritable(plan["lock"], False)  # noqa: FBT003 - takes no keyword. The server must not hold the lock: this process does.
    if plan["switch"]:
        os.setgroups([])
        os.setgid(plan["gid"])
        os.setuid(plan["uid"])
    os.umask(0o077)
    os.chdir(plan["directory"])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(_number: int, _frame: object) -> NoReturn:
    """Turn a signal into an orderly end."""
    raise OwnerGone


def serve(owner: Owner, server: Postgres) -> NoReturn:
    """Answer one command after the other until there is no owner, which is an exception."""
    commands = {
        "start": server.start,
        "stop": lambda: server.kill(signal.SIGQUIT),
        "shutdown": lambda: server.kill(signal.SIGINT),
        "crash": server.crash,
        "status": server.reap,
    }
    while True:
        server.reap()
        owner.look_after(server)
        command = owner.line(owner.interval)
        if command is not None:
            try:
                commands[command]()
                answer = ""
            except Refused as refusal:
                answer = str(refusal)
            sys.stdout.write(json.dumps({"error": answer, "pid": server.pid}) + "\n")
            sys.stdout.flush()


class Owner:
    """The other end of the pipe."""

    interval = _PARENT_CHECK

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.received = b""

    def look_after(self, server: Postgres) -> None:
        """Leave a server that has ended as it is: its owner asks."""

    def line(self, timeout: float | None = None) -> str | None:
        """Return the next line, or None after `timeout` seconds; raise OwnerGone if none can come any more."""
        while b"\n" not in self.received:
            if not self.heard(timeout):
                return None
        line, self.received = self.received.split(b"\n", 1)
        return line.decode()

    def heard(self, timeout: float | None) -> bool:
        """Wait at most `timeout` seconds for the owner to say more; raise OwnerGone if it never will."""
        readable, _, _ = select.select([0], [], [], timeout)
        if os.getppid() != self.pid:
            raise OwnerGone
        if not readable:
            return False
        chunk = os.read(0, 65536)
        if not chunk:
            raise OwnerGone
        self.received += chunk
        return True


class Ancestor(Owner):
    """A process that the users of the server descend from. Who asked for the server may be gone long before."""

    interval = _WATCH_CHECK

    def __init__(self, pid: int, received: bytes) -> None:
        super().__init__(pid)
        self.received = received
        self.sources = [0]
        self.deaths = 0
        if hasattr(os, "pidfd_open"):
            try:
                self.sources.append(os.pidfd_open(pid))
            except ProcessLookupError:
                raise OwnerGone from None
            except OSError:  # a kernel without it, or a sandbox that forbids it
                pass

    def look_after(self, server: Postgres) -> None:
        """Start the server again if it has ended by itself; not for ever."""
        if server.wanted and server.pid is None and self.deaths < _MOST_DEATHS:
            self.deaths += 1
            with contextlib.suppress(Refused):
                server.start()

    def heard(self, timeout: float | None) -> bool:
        """Wait for the process that asked for the server to say more; raise OwnerGone if the one to watch has ended."""
        readable, _, _ = select.select(self.sources, [], [], timeout)
        if not alive(self.pid) or any(source in readable for source in self.sources if source):
            raise OwnerGone
        if 0 not in readable:
            return False
        chunk = os.read(0, 65536)
        if not chunk:
            self.sources.remove(0)
        self.received += chunk
        return bool(chunk)


class Postgres:
    """The server: a direct child of this process."""

    def __init__(self, plan: dict[str, Any], owner: Owner) -> None:
        self.command: list[str] = plan["command"]
        self.environ: dict[str, str] = plan["environ"]
        self.pid_file = Path(plan["directory"], "data", "postmaster.pid")
        self.log = Path(plan["directory"], "log")
        self.timeout: float = plan["timeout"]
        self.owner = owner
        self.pid: int | None = None
        self.status = 0
        self.wanted = False

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        self.wanted = True
        self.reap()
        if self.pid is None:
            self.pid = self._spawn()
        deadline = time.monotonic() + self.timeout
        while not self._ready():
            if not self.reap():
                raise Refused(f"postgres ended with exit status {self.status}")
            if time.monotonic() > deadline:
                self.kill(signal.SIGQUIT)
                raise Refused(f"postgres did not become ready within {self.timeout:g} s")
            self.owner.heard(_POLL)

    def kill(self, number: signal.Signals) -> None:
        """Send the signal to the server and wait for its end; kill all of it if that takes too long."""
        self.wanted = False
        if self.pid is None:
            return
        os.kill(self.pid, number)
        if not self._wait([self.pid]):
            self.crash()

    def crash(self) -> None:
        """Kill the server and every process of it at once, as a power cut would."""
        self.reap()
        if self.pid is None:
            return
        os.kill(self.pid, signal.SIGSTOP)  # So that it starts no new children meanwhile.
        family = [*children(self.pid), self.pid]
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._wait(family)

    def reap(self) -> bool:
        """Note the end of the server, and of children that it left; tell whether the server is up."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self.pid:
                self.pid = None
                self.status = os.waitstatus_to_exitcode(status)
        return self.pid is not None

    def forget_shared_memory(self) -> None:
        """Remove the System V segment that a killed server leaves in the kernel."""
        try:
            segment = int(self.pid_file.read_text().splitlines()[6].split()[1])
        except (OSError, ValueError, IndexError):
            return
        ctypes.CDLL(None).shmctl(segment, _IPC_RMID, None)

    def _spawn(self) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for target in (1, 2):
                os.dup2(log, target)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGQUIT), 0, 0, 0)
            if os.getppid() == parent:
                os.execve(self.command[0], self.command, self.environ)  # noqa: S606 - no shell is wanted.
        except OSError as error:
            os.write(2, f"{self.command[0]}: {error}\n".encode())
        finally:
            os._exit(127)

    def _ready(self) -> bool:
        try:
            lines = self.pid_file.read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0].strip() == str(self.pid) and lines[7].strip() == "ready"  # noqa: PLR2004

    def _wait(self, pids: list[int]) -> bool:
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            self.reap()
            if not any(alive(pid) for pid in pids):
                return True
            time.sleep(_POLL)
        return False


def alive(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if sys.platform == "linux":

    def children(parent: int) -> list[int]:
        """Return the ids of the direct children of a process."""
        processes = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return [int(entry.name) for entry in processes if _parent(entry) == parent]

    def _parent(process: Path) -> int:
        try:
            return int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return 0

else:

    def children(parent: int) -> list[int]:
        """Return the ids of the direct children of a process."""
        listing = subprocess.run(["/bin/ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True)
        pairs = (line.split() for line in listing.stdout.splitlines())
        return [int(pid) for pid, above in pairs if int(above) == parent]


if __name__ == "__main__":
    main()
