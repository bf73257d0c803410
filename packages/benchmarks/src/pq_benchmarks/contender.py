"""A contestant as the benchmark sees it: how to start it, and under which contract it works."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs


@attrs.frozen(kw_only=True)
class Contender:
    """One queue.

    Attributes:
        name: as the report calls it.
        command: starts its script; the script's own arguments follow.
        environment: of its processes.
        contract: what it promises while it is measured, in words.
        table: where its jobs wait: the contract says that they are durable, so it must be logged.
        ended: SQL that counts the jobs in its history, or None if it keeps none.
        left: SQL that counts the jobs which must have gone when it keeps no history.
        share: how many jobs it has in the quick profile for each that pq has: the slow ones would take too long.
        python: its interpreter, if it has one, and the module to import.
        sync: whether its script enqueues for callers that cannot await.
        sync_jobs: whether its script runs jobs that cannot await.
        async_jobs: whether it runs those that can.
        store: where its jobs are.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = attrs.field(factory=dict[str, str])
    contract: str
    table: str | None = None
    ended: str | None = None
    left: str | None = None
    share: float = 1.0
    python: tuple[str, str] | None = None
    sync: bool = False
    sync_jobs: bool = False
    async_jobs: bool = True
    store: Literal["postgresql", "redis"] = "postgresql"

    def told(self, **environment: str) -> Contender:
        """Return it with these variables in the environment of its processes, which make it another for databases."""
        return attrs.evolve(
            self, name=" ".join([self.name, *environment]), environment={**self.environment, **environment}
        )


def python_contender(script: str, *, module: str, interpreter: Path | None = None, **facts: Any) -> Contender:
    """Return a contender whose script is a module in `pq_benchmarks.contestants`.

    Args:
        script: the module's last name.
        module: what an application imports to use it.
        interpreter: of the environment that it is installed in; by default this process's own.
        facts: see :class:`Contender`.
    """
    python = str(interpreter or sys.executable)
    sources = str(Path(__file__).resolve().parent.parent)
    return Contender(
        command=(python, "-m", "pq_benchmarks.contestants", script),
        environment={"PYTHONPATH": sources} if interpreter else {},
        python=(python, module),
        **facts,
    )


PQ = python_contender(
    "pq_itself",
    name="pq",
    module="pq_core",
    contract="durable, history kept",
    table="pq.jobs",
    ended="select count(*) from pq.finished_jobs where state = 'succeeded'",
    sync=True,
    sync_jobs=True,
)
