"""Keeps tests off real databases: connectors that the plugin has not made refuse to open while pytest runs."""

from __future__ import annotations

import os

import pytest

VARIABLE = "PQ_REFUSE_DATABASE"
"""The environment variable that pq_core heeds; its value is the text of the refusal. Child processes inherit it."""

REFUSAL = "pq will not touch a real database from a test: set pq_app, or pq_allow_real = true"

_BEFORE = pytest.StashKey[str | None]()


def raise_guard(config: pytest.Config, *, allow_real: bool) -> None:
    """Refuse databases from now on; or, if the session allows real ones, refuse none."""
    config.stash[_BEFORE] = os.environ.get(VARIABLE)
    _set(None if allow_real else REFUSAL)


def lower_guard(config: pytest.Config) -> None:
    """Leave the environment as it was before this session, which may run inside of another one."""
    if _BEFORE in config.stash:
        _set(config.stash[_BEFORE])
        del config.stash[_BEFORE]


def _set(value: str | None) -> None:
    if value is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = value
