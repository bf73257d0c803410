"""Words that an option takes, for shell completion. pq_core itself refuses any other."""

from __future__ import annotations


def complete_state(incomplete: str) -> list[str]:
    """Return the states of jobs that begin so."""
    from pq_core.states import State

    return _beginning(list(State), incomplete)


def complete_lock_mode(incomplete: str) -> list[str]:
    """Return the lock modes that begin so."""
    from typing import get_args

    from pq_core.job import LockMode

    return _beginning(get_args(LockMode), incomplete)


def complete_keep(incomplete: str) -> list[str]:
    """Return what a worker may keep that begins so."""
    from typing import get_args

    from pq_core.context import Keep

    return _beginning(get_args(Keep), incomplete)


def complete_catch_up(incomplete: str) -> list[str]:
    """Return which missed ticks to make up for that begins so."""
    from pq_core.schedule import CATCH_UPS

    return _beginning(CATCH_UPS, incomplete)


def complete_log_level(incomplete: str) -> list[str]:
    """Return the levels of logging that begin so."""
    return _beginning(LOG_LEVELS, incomplete)


LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


def _beginning(words: list[str] | tuple[str, ...], incomplete: str) -> list[str]:
    return [str(word) for word in words if word.startswith(incomplete)]
