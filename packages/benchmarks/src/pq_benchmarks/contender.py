"""A contestant as the benchmark sees it: how to start it, and under which contract it works."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import attrs


@attrs.frozen(kw_only=True)
class Contender:
    """One queue.

    Attributes:
        name: as the report calls it.
        command: starts its script; the script's own arguments follow.
        environment: of its processes.
        contract: what it promises while it is measured, in words.
        ended: SQL that counts the jobs in its history, or None if it keeps none.
        drain_share: how many jobs it drains for each that pq does: the slow ones would take too long.
        python: its interpreter, if it has one, and the module to import.
        sync: whether its script enqueues for callers that cannot await.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = attrs.field(factory=dict[str, str])
    contract: str
    ended: str | None = None
    drain_share: float = 1.0
    python: tuple[str, str] | None = None
    sync: bool = False


def python_contender(
    script: str,
    *,
    name: str,
    module: str,
    contract: str,
    ended: str | None,
    drain_share: float = 1.0,
    sync: bool = False,
    interpreter: Path | None = None,
) -> Contender:
    """Return a contender whose script is a module in `pq_benchmarks.contestants`.

    Args:
        script: the module's last name.
        module: what an application imports to use it.
        interpreter: of the environment that it is installed in; by default this process's own.
        name: see :class:`Contender`, as for the other arguments.
        contract: as above.
        ended: as above.
        drain_share: as above.
        sync: as above.
    """
    python = str(interpreter or sys.executable)
    sources = str(Path(__file__).resolve().parent.parent)
    return Contender(
        name=name,
        command=(python, "-m", "pq_benchmarks.contestants", script),
        environment={"PYTHONPATH": sources} if interpreter else {},
        contract=contract,
        ended=ended,
        drain_share=drain_share,
        python=(python, module),
        sync=sync,
    )


PQ = python_contender(
    "pq_itself",
    name="pq",
    module="pq_core",
    contract="durable, history kept",
    ended="select count(*) from pq.finished_jobs where state = 'succeeded'",
    sync=True,
)
