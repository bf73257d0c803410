"""Whether a child of a worker is importing the app: a program that runs a worker meanwhile would never end."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from pq_core.errors import InvalidOption

_under_way = False


@contextmanager
def app() -> Generator[None]:
    """Refuse workers for the time of the block."""
    global _under_way  # noqa: PLW0603 - a fact about this process
    _under_way = True
    try:
        yield
    finally:
        _under_way = False


def refuse_worker() -> None:
    """Refuse to run a worker while the app is imported.

    Raises:
        InvalidOption: it is.
    """
    if _under_way:
        raise InvalidOption(
            "a process for a job imports this program, which runs a worker as it is imported: move that below "
            "`if __name__ == '__main__':`"
        )
