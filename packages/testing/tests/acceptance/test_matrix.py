"""Every kind of test, on both backends, with workers of pytest-xdist and without."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

Run = Callable[..., Any]

SYNC = """
from datetime import timedelta

import pytest
import shop

@pytest.mark.parametrize("number", range(4))
def test_chain(run_jobs, pq_clock, number):
    shop.mails.clear()
    shop.sign_up("a")
    start = pq_clock.now()
    job = run_jobs.deferred.one(shop.mail, to="a")
    assert job.scheduled_at == start
    assert run_jobs().names == ["mail", "remind"]
    assert run_jobs(until="1h").names == ["mail"]
    assert pq_clock.now() - start == timedelta(hours=1)
    assert shop.mails == ["a", "a"]

def test_giving_up(run_jobs, pq_clock):
    shop.pay.defer()
    with pytest.raises(shop.CardDeclined, match="no money"):
        run_jobs(until="1h")
    assert run_jobs.deferred.one(shop.pay).attempt == 3

def test_asking_for_nothing():
    assert shop.mail.defer(to="a") == 1
"""

ASYNC = """
from datetime import timedelta

import pytest
import shop

{fixture}

{mark}
@pytest.mark.parametrize("number", range(4))
async def test_chain(run_jobs, pq_clock, number):
    shop.mails.clear()
    await shop.mail.defer_async(to="a")
    shop.remind.defer(to="a")
    assert (await run_jobs.run_async()).names == ["mail", "remind"]
    pq_clock.advance(hours=1)
    assert run_jobs().names == ["mail"]
    assert shop.mails == ["a", "a"]

{mark}
async def test_giving_up(app, run_jobs, pq_clock):
    shop.pay.defer()
    with pytest.raises(shop.CardDeclined, match="no money"):
        for _ in range(3):
            await run_jobs.run_async()
            pq_clock.advance(hours=1)

{mark}
async def test_asking_for_nothing():
    assert await shop.mail.defer_async(to="a") == 1
"""

BACKEND = '@pytest.fixture\ndef anyio_backend(): return "{}"'
KINDS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "sync": (SYNC, (), ()),
    "anyio-asyncio": (ASYNC.format(fixture=BACKEND.format("asyncio"), mark="@pytest.mark.anyio"), (), ()),
    "anyio-trio": (ASYNC.format(fixture=BACKEND.format("trio"), mark="@pytest.mark.anyio"), (), ()),
    "asyncio-strict": (ASYNC.format(fixture="", mark="@pytest.mark.asyncio"), ("--asyncio-mode=strict",), ("asyncio",)),
    "asyncio-auto": (ASYNC.format(fixture="", mark=""), ("--asyncio-mode=auto",), ("asyncio",)),
}
LOOP_SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")


def cells() -> list[Any]:
    """All combinations that there are: trio has no PostgreSQL."""
    return [
        pytest.param(*cell, marks=[pytest.mark.postgres] if cell[1] == "postgres" else [])
        for cell in product(KINDS, ["memory", "postgres"], [False, True])
        if cell[:2] != ("anyio-trio", "postgres")
    ]


@pytest.mark.parametrize("kind, backend, workers", cells())
def test_a_suite_of_this_kind_passes(run_tests: Run, kind: str, backend: str, workers: bool) -> None:
    text, options, plugins = KINDS[kind]
    if "asyncio" in plugins:
        pytest.importorskip("pytest_asyncio")
        options += LOOP_SCOPE
    if workers:
        pytest.importorskip("xdist")
        options, plugins = (*options, "-n2"), (*plugins, "xdist")
    result = run_tests(text, f"--pq-backend={backend}", "--pq-require-postgres", *options, plugins=plugins)
    assert result.outcomes == {"passed": 6}, result.text


def test_what_is_tested_here_is_what_the_wheels_hold(run_tests: Run, python: Any) -> None:
    result = run_tests(
        f"""
        import pq_core, pq_testing
        def test_it():
            for module in (pq_core, pq_testing):
                assert module.__file__.startswith({str(python.parents[1])!r})
        """.replace("\n        ", "\n")
    )
    assert result.outcomes == {"passed": 1}, result.text
