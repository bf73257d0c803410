"""Tests with `@pq_explore`: called once for each order of their workers, with the same fixtures."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from pq_testing.plugin import replay
from pq_testing.plugin.lifetime import known


def explore(item: pytest.Function) -> bool | None:
    """Explore a test that asks for it.

    Returns:
        None if it does not, so that others call it.
    """
    __tracebackhide__ = True
    exploration = getattr(item.obj, "pq_explore", None)
    if exploration is None:
        return None
    from pq_core.errors import InvalidOption
    from pq_testing.explore.search import run_test

    lifetime = known(item)
    if lifetime is None or not lifetime.uses:
        pytest.fail(
            f"{item.name} has @pq_explore, but no jobs whose order could matter: let it take the fixture run_jobs.",
            pytrace=False,
        )
    fixtures: Any = item._fixtureinfo  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no other tells which are arguments
    arguments = {name: item.funcargs[name] for name in fixtures.argnames}
    try:
        explored = run_test(partial(item.obj, **arguments), lifetime.uses[0].harness, exploration)
    except InvalidOption as reason:
        raise pytest.fail.Exception(f"@pq_explore: {reason}", pytrace=False) from None
    item.user_properties.append((replay.REPEATED, str(explored)))
    return True
