"""Payloads that jobs of a task have had: recorded in tests, and checked ever after against the task as it is now.

A job waits in the database while the code around it changes. If a parameter is renamed, jobs that were deferred before
the deployment fail after it, and no test that defers and runs in one process can see that. So the shapes of payloads
are kept in a directory, one file for each task, under version control; each must still fit.

What is kept of a payload is its *shape*: the names of the arguments, and which kind of JSON value each had. No value is
kept: none is needed to find out whether a call fits, values in tests may be copies of real ones, and a file without
them is the same whichever test was run first. A recording never forgets: that a shape is no longer deferred does not
mean that no job of it is left. Delete it by hand when that is so.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import attrs

from pq_core.app import App
from pq_core.errors import InvalidArguments, TaskNotFound
from pq_core.job import Job
from pq_core.task import Task
from pq_testing.directory_lock import locked
from pq_testing.errors import InvalidPayloads

FORMAT = 1
MAX_SHAPES = 20
"""Shapes kept of one task: a task that takes ``**kwargs`` may have any number."""
MAX_FILE_NAME = 100
KINDS: Mapping[str, Any] = {
    "null": None,
    "boolean": False,
    "integer": 0,
    "number": 0.0,
    "string": "",
    "array": [],
    "object": {},
}
"""Kinds of JSON values, each with one of it."""

_SUFFIX = ".json"
_LOCAL = ".<locals>."


class PayloadMisfit(AssertionError):
    """Jobs that may still wait in a database would fail with the code as it is now.

    .. versionadded:: 0.1
    """


@attrs.frozen(order=True)
class Payload:
    """What jobs of a task were deferred with.

    .. versionadded:: 0.1

    Attributes:
        task: name of the task, as it stands in the jobs.
        shape: names of the arguments, sorted, each with the kind of its value.
        file: where it is recorded; None if it is not yet.
    """

    task: str
    shape: tuple[tuple[str, str], ...]
    file: Path | None = attrs.field(default=None, eq=False, order=False)

    @classmethod
    def of(cls, job: Job) -> Payload:
        """Return what a job was deferred with."""
        return cls(job.task, tuple(sorted((name, kind_of(value)) for name, value in job.args.items())))

    @property
    def args(self) -> dict[str, Any]:
        """Arguments of that shape."""
        return {name: KINDS[kind] for name, kind in self.shape}

    def __str__(self) -> str:
        return f"{self.task}({', '.join(f'{name}: {kind}' for name, kind in self.shape)})"


def kind_of(value: Any) -> str:
    """Return of which kind a value is, as JSON names it."""
    if isinstance(value, bool):
        return "boolean"
    kinds = {int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return "null" if value is None else kinds[type(value)]


def record(jobs: Iterable[Job], directory: Path, app: App) -> list[Payload]:
    """Write down the payloads of jobs that are not yet recorded; return those.

    Left out are jobs of tasks that the app does not know, and payloads that do not fit their task as it is: a test of
    just that may defer them. So are tasks that are defined inside of a function, as tests do.

    Args:
        jobs: of a test.
        directory: is made if it is not there. Of several processes at once, each may write there.
        app: knows the tasks.

    Raises:
        InvalidPayloads: the directory holds a file that is none of pq's.
    """
    found = {Payload.of(job) for job in jobs if job.unreadable is None and _LOCAL not in job.task}
    by_task: dict[str, set[Payload]] = {}
    for payload in found:
        if _misfit(payload, app) is None:
            by_task.setdefault(payload.task, set()).add(payload)
    added: list[Payload] = []
    if by_task:
        _make(directory)
        with locked(directory):
            for task in sorted(by_task):
                added += _add(by_task[task], directory / file_name(task))
    return added


def collect(directory: Path) -> list[Payload]:
    """Return the recorded payloads, in the order of their files' names, those of one sorted.

    Raises:
        InvalidPayloads: there is no such directory, or it holds a file that is none of pq's.
    """
    return [payload for file in files(directory) for payload in read(file)]


def files(directory: Path) -> list[Path]:
    """Return the files of a directory of recorded payloads, by name; hidden ones are none of them.

    Raises:
        InvalidPayloads: there is no such directory.
    """
    if not directory.is_dir():
        raise InvalidPayloads(
            f"pq_payloads = {directory} is no directory: record what your tests defer with --pq-payloads-update first"
        )
    return sorted(file for file in directory.iterdir() if not file.name.startswith("."))


def check(payload: Payload, app: App) -> None:
    """See that a worker of `app` could run a job with this payload, up to the call of the function, which is not made.

    Raises:
        PayloadMisfit: it could not; the message says why, and what may be done.
    """
    __tracebackhide__ = True
    reason = _misfit(payload, app)
    if reason is not None:
        raise PayloadMisfit(reason)


def read(file: Path) -> list[Payload]:
    """Return the payloads of a file.

    Raises:
        InvalidPayloads: it is none of pq's.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as reason:
        raise _foreign(file, f"{type(reason).__name__}: {reason}") from None
    if not isinstance(content, dict):
        raise _foreign(file, "it holds no JSON object")
    entries = cast("dict[str, Any]", content)
    if entries.get("pq_payloads") != FORMAT:
        raise _foreign(file, f'"pq_payloads" is not {FORMAT}')
    task = entries.get("task")
    if not isinstance(task, str) or file_name(task) != file.name:
        raise _foreign(file, "its name is not that of its task")
    if not isinstance(entries.get("shapes"), list):
        raise _foreign(file, '"shapes" is no list')
    return sorted(_payload(task, shape, file) for shape in entries["shapes"])


def file_name(task: str) -> str:
    """Return the name of the file for a task; a name that file systems may not keep apart gets a digest."""
    safe = quote(task, safe="")
    if safe != task or not re.fullmatch(r"[a-z0-9_][a-z0-9_.-]*", task) or len(task) > MAX_FILE_NAME:
        digest = hashlib.sha256(task.encode()).hexdigest()[:8]
        safe = f"{re.sub('%[0-9A-F]{2}|^[.-]', '_', safe)[:MAX_FILE_NAME]}-{digest}"
    return f"{safe}{_SUFFIX}"


def _misfit(payload: Payload, app: App) -> str | None:
    """Return why a worker could not run such a job; None if it could."""
    head = f"jobs deferred as {payload} may still wait somewhere, and would fail now: "
    shown = f"; or delete it from {_near(payload.file)} when no such job can be left" if payload.file else ""
    try:
        task: Task[..., Any] = app.tasks[payload.task]
    except TaskNotFound as reason:
        # A worker would give such a job back, again and again, for another worker that knows the task.
        return f"{head}{reason} Give the task that has its place the old name: aliases=[{payload.task!r}]{shown}"
    signature = task.binding.signature
    try:
        args, kwargs = task.unbind(payload.args)
        signature.bind(*args, **kwargs)
    except (InvalidArguments, TypeError) as reason:
        why = str(reason).partition("; the task's signature")[0]
        return (
            f"{head}{why}. The task takes {task.name}{signature}. Let it accept the old arguments too, with a default "
            f"for each that is new{shown}"
        )
    return None


def _add(payloads: set[Payload], file: Path) -> list[Payload]:
    """Add payloads of one task to its file; return those that were not there."""
    known = read(file) if file.exists() else []
    added = sorted(payloads.difference(known))[: max(0, MAX_SHAPES - len(known))]
    if added:
        task = added[0].task
        text = json.dumps(
            {"pq_payloads": FORMAT, "task": task, "shapes": [dict(each.shape) for each in sorted([*known, *added])]},
            indent=2,
        )
        whole = file.with_name(f".{file.name}.new")
        whole.write_text(f"{text}\n", "utf-8", newline="\n")
        whole.replace(file)
    return [attrs.evolve(payload, file=file) for payload in added]


def _near(file: Path) -> Path:
    """Return a path as it is typed where the tests were started."""
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise InvalidPayloads(f"pq_payloads = {directory} cannot be made a directory: {reason}") from None


def _payload(task: str, shape: Any, file: Path) -> Payload:
    if not isinstance(shape, Mapping):
        raise _foreign(file, "a shape is no object")
    kinds = cast("Mapping[str, Any]", shape)
    for name, kind in kinds.items():
        if not isinstance(kind, str) or kind not in KINDS:
            raise _foreign(file, f"{name!r} is {kind!r}, which is none of {', '.join(KINDS)}")
    return Payload(task, tuple(sorted(kinds.items())), file)


def _foreign(file: Path, why: str) -> InvalidPayloads:
    return InvalidPayloads(
        f"{file} is not a file of recorded payloads: {why}. Keep other files elsewhere; delete it to have it recorded "
        "anew with --pq-payloads-update"
    )
