"""How long the import takes, which every program that only defers pays too."""

from __future__ import annotations

from collections.abc import Mapping

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.processes import run_client
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage

_PROGRAM = """
import json, sys, time
began, cpu = time.perf_counter(), time.process_time()
import {module}
took, cpu = time.perf_counter() - began, time.process_time() - cpu
print(json.dumps({{"took": took, "cpu": cpu, "psycopg": int("psycopg" in sys.modules), "modules": len(sys.modules)}}))
"""
_TIMES = 5


def measure(_: Stage, contender: Contender) -> Mapping[str, float]:
    """Import in fresh processes, the fastest of which counts: the others waited for the disk or for the processor."""
    if contender.python is None:
        return {}
    interpreter, module = contender.python
    told = [run_client((interpreter, "-c", _PROGRAM.format(module=module)), {}, seconds=60.0) for _ in range(_TIMES)]
    return {
        "import_ms": min(one["took"] for one in told) * 1e3,
        "import_cpu_ms": min(one["cpu"] for one in told) * 1e3,
        "imports_psycopg": told[0]["psycopg"],
        "modules": told[0]["modules"],
    }


IMPORTING = Scenario(
    name="import",
    title="import",
    once=True,
    measure=measure,
    targets=(Target(value="import_ms", at_most=200.0), Target(value="imports_psycopg", at_most=0.0)),
    peers=True,
    takes=lambda contender: contender.python is not None,
)
