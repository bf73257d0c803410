"""The model: random calls of every verb on a connector and beside it in memory; answers, errors and stores must agree.

::

    def test_my_connector_does_what_the_in_memory_one_does() -> None:
        check_against_memory(open_my_connector)

where ``open_my_connector()`` is an async context manager that gives an open connector to an empty store. It needs the
extra ``pq-testing[hypothesis]``. What fails is made short by Hypothesis, and shown as the calls that lead there.

What connectors are free to do differently is not compared: the ids themselves, how many jobs a fetch gives at once if
it says `again`, whether a job that waits for its lock is called ready or blocked, and the words about a lost worker.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from typing import cast

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from pq_testing.model.machine import ConnectorMachine
from pq_testing.model.pair import Difference
from pq_testing.model.stage import MemoryTransactions, OpenConnector, OpenTransactions

__all__ = ["Difference", "MemoryTransactions", "check_against_memory"]

STEPS = 2_000
"""Steps of a run, unless the variable PQ_MODEL_STEPS says otherwise."""
STEPS_OF_AN_EXAMPLE = 50


def check_against_memory(
    open_connector: OpenConnector,
    *,
    transactions: OpenTransactions | None = None,
    listens: bool = True,
    backend: str = "asyncio",
    steps: int | None = None,
    start: int | None = None,
    shrink: bool = True,
) -> int:
    """Do random steps on a connector and on an InMemoryConnector, and compare all there is to see after each.

    Args:
        open_connector: gives an open connector to an empty store, each time anew.
        transactions: says how to open a transaction; None: the connector has none.
        listens: whether those who wait for the end of a job are told; False: they look again.
        backend: the event loop, asyncio or trio.
        steps: how many steps, about; None: as PQ_MODEL_STEPS says, or 2,000.
        start: the seed; None: as PQ_MODEL_SEED says, or at random. It is printed.
        shrink: whether to make an example that fails short.

    Returns:
        How many steps were done.

    Raises:
        Difference: the two did not agree. Its notes show the calls that lead there.

    .. versionadded:: 0.1
    """
    steps = steps if steps is not None else int(os.environ.get("PQ_MODEL_STEPS", STEPS))
    start = start if start is not None else int(os.environ.get("PQ_MODEL_SEED", random.randrange(10**9)))
    print(f"the model does {steps} steps; PQ_MODEL_STEPS={steps} PQ_MODEL_SEED={start} does the same again")  # noqa: T201 - pytest shows it of a test that fails

    class Machine(ConnectorMachine):
        steps_done = 0

    Machine.open_connector = staticmethod(open_connector)
    Machine.open_transactions = staticmethod(transactions) if transactions else None
    Machine.listens = listens
    Machine.backend = backend
    run_state_machine_as_test(
        seed(start)(Machine),
        settings=settings(
            max_examples=max(1, steps // STEPS_OF_AN_EXAMPLE),
            stateful_step_count=STEPS_OF_AN_EXAMPLE,
            deadline=None,
            database=None,
            derandomize=False,
            phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
            suppress_health_check=list(cast("Iterable[HealthCheck]", HealthCheck)),
        ),
    )
    return Machine.steps_done
