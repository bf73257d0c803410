"""How the process that has read the command line becomes the parent of a fleet."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, cast

from pq_cli.fleet.assignment import Assignment
from pq_core import App, InMemoryConnector
from pq_core.errors import InvalidOption
from pq_core.worker.options import Settings

POSIX = os.name == "posix"


def require_separable(app: App, worker: str, processes: int) -> None:
    """Refuse what cannot be several processes.

    Args:
        app: whose workers they are to be.
        worker: how they are to be called; each has its number behind that.
        processes: how many.

    Raises:
        InvalidOption: the system has no such processes, the app keeps its jobs in the memory of one, or the name is too
            long for a number behind it.
    """
    if not POSIX:
        raise InvalidOption(
            "--processes needs a POSIX system, such as Linux or macOS; start `pq worker` several times instead"
        )
    if isinstance(app.connector, InMemoryConnector):
        raise InvalidOption("--processes needs jobs that several processes can see; those in memory belong to one")
    Settings(name=f"{worker}#{processes}")


def become_parent(assignment: Assignment, worker: str, processes: int) -> None:
    """Replace this process, under its process id, by the parent. Returns only in tests.

    Args:
        assignment: what its children do.
        worker: how they are called.
        processes: how many.
    """
    assignment.publish()
    once = ["once"] if assignment.options.get("wait") is False else []
    # -P: what lies in the working directory is imported by those who want it, and shadows nothing before.
    program = ["-P", "-m", "pq_cli.fleet", worker, str(processes), assignment.log_level, *once]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *_flags(), *program])  # noqa: S606 - no shell is wanted


def _flags() -> list[str]:
    """Return the interpreter's own options, as multiprocessing does for its children."""
    found: list[str] = cast("Any", subprocess)._args_from_interpreter_flags()  # noqa: SLF001 - there is no other way
    return [flag for flag in found if flag != "-P"]
