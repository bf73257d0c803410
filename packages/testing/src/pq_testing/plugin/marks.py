"""The mark `pq`: what one test wants otherwise than the session's options say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

from pq_testing.plugin.options import BACKENDS, STRICT, Options

MARK = (
    "pq(backend=, redeliver=, crash=, crash_at=, reorder=, seed=, strict=, fresh_database=, max_runs=): how pq treats "
    "the jobs of this test, whatever the options of the session say."
)

_CRASHES = ("random", "everywhere")


class Settings(NamedTuple):
    """How one test wants its jobs treated.

    Attributes:
        backend: memory, postgres, or all.
        crash: random, everywhere, or None.
        crash_at: the one point at which a worker crashes, from 1.
        seed: from which, with the name of the test, chaos is drawn.
        marked: arguments that stand in a mark.
    """

    backend: str
    redeliver: bool
    crash: str | None
    crash_at: int | None
    reorder: bool
    seed: int
    strict: str
    fresh_database: bool
    max_runs: int | None
    marked: frozenset[str]


def settings_of(item: pytest.Item, options: Options, seed: int) -> Settings:
    """Return how a test wants its jobs treated: a mark wins over the options, a near one over one farther away."""
    marked = arguments_of(item.iter_markers("pq"))
    crash = marked.get("crash", "random" if "crash" in options.pq_chaos else None) or None
    return Settings(
        backend=marked.get("backend", options.pq_backend),
        redeliver=marked.get("redeliver", "redeliver" in options.pq_chaos),
        crash=crash,
        # What a failing test has printed narrows down what its mark asks for.
        crash_at=options.pq_crash_at or marked.get("crash_at"),
        reorder=marked.get("reorder", "reorder" in options.pq_chaos),
        seed=marked.get("seed", seed),
        strict=marked.get("strict", options.pq_strict),
        fresh_database=marked.get("fresh_database", False),
        max_runs=marked.get("max_runs", options.pq_max_runs),
        marked=frozenset(marked),
    )


def arguments_of(marks: Iterable[pytest.Mark]) -> dict[str, Any]:
    """Return the arguments of several marks together. The first one is the nearest, and wins."""
    merged: dict[str, Any] = {}
    for mark in marks:
        merged = {**mark.kwargs, **merged}
    return merged


def complaints(item: pytest.Item) -> list[str]:
    """Return what is wrong with the marks of a test: one sentence each, that says what may be written."""
    found: list[str] = []
    for mark in item.iter_markers("pq"):
        if mark.args:
            found.append(f"takes no argument without a name, such as {mark.args[0]!r}; write {_allowed()}")
        for name, value in mark.kwargs.items():
            if name not in _ARGUMENTS:
                found.append(f"has no argument {name!r}{_guess(name)}; it takes {_allowed()}")
            elif not _fits(name, value):
                found.append(f"{name}={value!r} is not possible; {name}= takes {_ARGUMENTS[name][1]}")
    return [f"{item.nodeid}: @pytest.mark.pq {each}." for each in found]


def _fits(name: str, value: Any) -> bool:
    return any(type(value) is type(each) and value == each for each in _ARGUMENTS[name][0]) or (
        name in _LEAST and type(value) is int and value >= _LEAST[name]
    )


def _words(values: Iterable[str]) -> str:
    return " or ".join(f'"{value}"' for value in values)


_BOOLS = ((True, False), "True or False")
_LEAST = {"crash_at": 1, "seed": 0, "max_runs": 1}
_ARGUMENTS: dict[str, tuple[tuple[Any, ...], str]] = {
    "backend": (BACKENDS, _words(BACKENDS)),
    "redeliver": _BOOLS,
    "crash": ((*_CRASHES, False, None), f"{_words(_CRASHES)}, or False"),
    "crash_at": ((), "a whole number from 1"),
    "reorder": _BOOLS,
    "seed": ((), "a whole number from 0"),
    "strict": (STRICT, _words(STRICT)),
    "fresh_database": _BOOLS,
    "max_runs": ((), "a whole number from 1"),
}


def _allowed() -> str:
    return ", ".join(f"{name}=" for name in _ARGUMENTS)


def _guess(name: str) -> str:
    import difflib  # Only for those who mistype.

    near = difflib.get_close_matches(name, _ARGUMENTS, n=1)
    return f" (did you mean {near[0]}=?)" if near else ""
