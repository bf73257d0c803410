"""What options of the toolkit may be given."""

from __future__ import annotations

from pq_core.errors import InvalidOption, shown


def check_count(option: str, count: object) -> None:
    """Refuse what is not a whole number from 1.

    Raises:
        InvalidOption: it is none; the message names `option`.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InvalidOption(f"{option} {shown(count)} is not a whole number from 1")
