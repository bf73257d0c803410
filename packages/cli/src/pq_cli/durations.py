"""Lengths of time, as they are typed: ``90``, ``1h30m``, ``2d``."""

from __future__ import annotations

from datetime import timedelta

import typer

_FOREVER = "forever"


def duration(text: str, option: str) -> timedelta:
    """Return what `text` means: a number of seconds, or numbers with the units ms, s, m, h, d, w.

    Raises:
        typer.BadParameter: it means nothing; the message names `option`.
    """
    from pq_core.delays import length
    from pq_core.errors import InvalidOption

    try:
        return length(text)
    except InvalidOption as refusal:
        raise typer.BadParameter(str(refusal), param_hint=f"'{option}'") from None


def duration_or_forever(text: str, option: str) -> timedelta | None:
    """Do what :func:`duration` does, with None for ``forever``."""
    return None if text.strip() == _FOREVER else duration(text, option)
