"""Lengths of time, as they are typed: ``90``, ``1h30m``, ``2d``."""

from __future__ import annotations

import re
from datetime import timedelta

import typer

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|[smhdw])\s*")
_FOREVER = "forever"


def duration(text: str, option: str) -> timedelta:
    """Return what `text` means: a number of seconds, or numbers with the units ms, s, m, h, d, w.

    Raises:
        typer.BadParameter: it means nothing; the message names `option`.
    """
    try:
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text.strip()):
            return timedelta(seconds=float(text))
        parts = _PART.findall(text)
        if parts and not _PART.sub("", text).strip():
            return sum((float(count) * _UNITS[unit] for count, unit in parts), timedelta(0))
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is longer than a million years", param_hint=f"'{option}'") from None
    raise typer.BadParameter(
        f"{text!r} is not a length of time: give seconds, as 90, or with units, as 1h30m (ms, s, m, h, d, w)",
        param_hint=f"'{option}'",
    )


def duration_or_forever(text: str, option: str) -> timedelta | None:
    """Do what :func:`duration` does, with None for ``forever``."""
    return None if text.strip() == _FOREVER else duration(text, option)
