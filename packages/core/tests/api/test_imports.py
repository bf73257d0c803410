"""`import pq_core` costs only what every program needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pq_core as pq


def test_the_import_brings_neither_psycopg_nor_an_event_loop() -> None:
    unwanted = {"anyio", "asyncio", "cronsim", "pq_core.memory", "pq_core.postgres", "pq_core.worker", "psycopg"}
    code = f"import sys, pq_core; print(sorted({unwanted} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", pq.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(pq, name)
    assert name in dir(pq)
    assert found.__doc__ or not isinstance(found, type)


def test_the_list_of_public_names_is_sorted_and_holds_each_once() -> None:
    constants = sorted(name for name in pq.__all__ if name.isupper())
    classes = sorted(name for name in pq.__all__ if name not in constants and name[0].isupper())
    functions = sorted(name for name in pq.__all__ if name[0].islower())
    assert pq.__all__ == [*constants, *classes, *functions]
    assert len(set(pq.__all__)) == len(pq.__all__)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'pq_core' has no attribute 'Nothing'"):
        _ = pq.Nothing
