"""Lengths of time, as they are typed: ``90``, ``1h30m``, ``2d``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

import typer

if TYPE_CHECKING:  # see main
    from pq_core.worker.retention import Retention

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


def retention(text: str, option: str) -> Retention:
    """Return how long ended jobs are kept: a length or ``forever``, or several by outcome, ``failed=90d,succeeded=7d``.

    Raises:
        typer.BadParameter: it means nothing; the message names `option`.
    """
    if "=" not in text:
        return duration_or_forever(text, option)
    parts = [part.partition("=") for part in text.split(",")]
    by_outcome = {outcome.strip(): duration_or_forever(length, option) for outcome, _, length in parts}
    if len(by_outcome) < len(parts):
        raise typer.BadParameter(f"{text!r} names an outcome twice", param_hint=f"'{option}'")
    return cast("Retention", by_outcome)
