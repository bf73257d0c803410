"""Test code that uses pq: a pytest plugin, and what it is made of.

What only some tests need is imported when first used: pytest imports this package in every run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pq_core.app import App
    from pq_testing.clock import Clock
    from pq_testing.effects import Effects
    from pq_testing.explore import pq_explore
    from pq_testing.job_query import JobQuery
    from pq_testing.report import Report, Run
    from pq_testing.run_jobs import RunJobs
    from pq_testing.run_once import RunOnceWorker
    from pq_testing.swap import using

__all__ = [
    "App",
    "Clock",
    "Effects",
    "JobQuery",
    "Report",
    "Run",
    "RunJobs",
    "RunOnceWorker",
    "pq_explore",
    "using",
]

_LAZY = {
    "App": "pq_core.app",
    "Clock": "pq_testing.clock",
    "Effects": "pq_testing.effects",
    "JobQuery": "pq_testing.job_query",
    "Report": "pq_testing.report",
    "Run": "pq_testing.report",
    "RunJobs": "pq_testing.run_jobs",
    "RunOnceWorker": "pq_testing.run_once",
    "pq_explore": "pq_testing.explore",
    "using": "pq_testing.swap",
}


def __getattr__(name: str) -> Any:
    """Import what is imported when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
