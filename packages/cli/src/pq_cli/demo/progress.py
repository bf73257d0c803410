"""How far the demo is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from pq_cli.output import note

Advance = Callable[[int], None]
"""To be called with how many are done so far."""
_STEPS = 10


@contextmanager
def progress(what: str, total: int) -> Generator[Advance]:
    """Show how far something is, on standard error."""
    if not sys.stderr.isatty():
        yield _lines(what, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def _lines(what: str, total: int) -> Advance:
    said = 0

    def advance(done: int) -> None:
        nonlocal said
        step = done * _STEPS // total if total else _STEPS
        if step > said:
            said = step
            note(f"{what}: {done} of {total}")

    return advance
