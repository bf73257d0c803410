"""What the plugin knows in one session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pq_testing.plugin.options import Options, new_seed, worker_input

if TYPE_CHECKING:  # Only for readers: a test run that uses no jobs does not pay for them.
    from pq_core.app import App
    from pq_testing.backends.discovery import Databases

SEED = "pq_seed"


class State:
    """What the plugin knows in one session.

    Attributes:
        options: as they were read.
        seed: from which chaos is drawn; the same in all workers of pytest-xdist.
        app: the one that `pq_app` names, once it is loaded, or why it cannot be.
        databases: in PostgreSQL, once a test has asked for one.
    """

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.options = options
        self.seed = options.pq_seed if options.pq_seed is not None else self._shared_seed(config)
        self.app: App | str | None = None
        self.databases: Databases | None = None

    @property
    def everywhere(self) -> bool:
        """Whether each test gets fresh jobs unasked."""
        return self.options.pq_app is not None and self.options.pq_autouse

    def end(self) -> None:
        """Close what the session has used."""
        if self.databases is not None:
            self.databases.close()
            self.databases = None

    def _shared_seed(self, config: pytest.Config) -> int:
        told = worker_input(config) or {}
        return int(told[SEED]) if SEED in told else new_seed()


STATE = pytest.StashKey[State]()


def state_of(config: pytest.Config) -> State:
    """Return what the plugin knows in this session."""
    return config.stash[STATE]
