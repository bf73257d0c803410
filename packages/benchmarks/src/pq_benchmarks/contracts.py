"""What each queue promises while it is measured, and what was counted to check it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pq_benchmarks.figures import Sample

_SCENARIO = "drain"


def checked_contract(contender: str, contract: str, samples: Sequence[Sample]) -> str:
    """Return the contract, and after it what the database held after the plain drains."""
    drains = [one.values for one in samples if one.scenario == _SCENARIO and one.contender == contender]
    found = [_found(values) for values in drains]
    counted = list(dict.fromkeys(part for parts in found for part in parts))
    return contract + (f" (counted: {', '.join(counted)})" if counted else "")


def _found(values: Mapping[str, float]) -> list[str]:
    parts: list[str] = []
    started = values.get("started", 0.0)
    if "logged" in values:
        parts.append("jobs in a logged table" if values["logged"] else "jobs in an UNLOGGED table")
    if "in_history" in values:
        parts.append(f"{values['in_history']:,.0f} of {started:,.0f} jobs in the history")
    if "left" in values:
        parts.append("no job left" if not values["left"] else f"{values['left']:,.0f} jobs left")
    return parts
