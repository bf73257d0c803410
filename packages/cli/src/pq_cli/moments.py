"""Moments, as they are typed: ISO 8601, with an offset."""

from __future__ import annotations

from datetime import datetime

import typer


def moment(text: str, option: str) -> datetime:
    """Return the moment that `text` means.

    Raises:
        typer.BadParameter: it is none, or has no time zone; the message names `option`.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time of ISO 8601, such as 2030-01-31T12:00Z", param_hint=f"'{option}'"
        ) from None
    if found.utcoffset() is None:
        raise typer.BadParameter(f"{text!r} has no time zone: add Z for UTC, or +02:00", param_hint=f"'{option}'")
    return found
