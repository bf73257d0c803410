"""What runs say of their progress, on its way to the store: only the last word of each, and that once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pq_core.outcome import Progress
from pq_core.worker.run import Run
from pq_core.worker.slots import Slots

Said = Mapping[Run, dict[str, Any]]
"""What each run said last."""


class Words:
    """Knows what the store was told.

    Args:
        slots: where the jobs run.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._told: Said = {}

    def new(self) -> Said:
        """Return what the store does not know yet."""
        said = [(run, run.progress) for run in self._slots.runs]
        return {run: word for run, word in said if word is not None and self._told.get(run) is not word}

    def tell(self, said: Said) -> None:
        """Take note that the store knows it."""
        both = {**self._told, **said}
        self._told = {run: both[run] for run in self._slots.runs if run in both}


def as_progress(said: Said) -> list[Progress]:
    """Return it as the store takes it."""
    return [Progress.of(run.job, word) for run, word in said.items()]
