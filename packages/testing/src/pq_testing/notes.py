"""What pq adds to the errors of jobs: one thing at a time, since some errors are raised again and again."""

from __future__ import annotations

from contextlib import suppress


class Note(str):
    """A note of pq's, among those of others."""

    __slots__ = ()


def note(error: BaseException, *texts: str) -> None:
    """Let an error say this, and no longer what pq has let it say before.

    Errors that refuse notes, as frozen ones do, stay as they are.
    """
    with suppress(Exception):
        notes: list[str] = getattr(error, "__notes__", [])
        notes[:] = [each for each in notes if not isinstance(each, Note)]
        for text in texts:
            error.add_note(Note(text))
