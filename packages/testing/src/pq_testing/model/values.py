"""What the model plays with: few queues, locks and workers, so that they meet; and values that are hard to carry."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import attrs
from hypothesis import strategies as st

from pq_core.connector import JobChanges
from pq_core.job import Delivery, LockMode, NewJob
from pq_core.outcome import UNCHANGED
from pq_core.states import ENDED, State
from pq_testing.conformance.scene import START

QUEUES = ("a", "größe 🐘 '")
"""No more than two: of more, a fetch gives each its share, and how much of that at once is left to the connector."""
LOCKS = (None, "x", "y", "🔒 '")
WORKERS = (1, 2, 2**63 - 1)
SECONDS = (0, 0.000001, 1, 5, 60, 3600, 100_000)

queues = st.sampled_from(QUEUES)
locks = st.sampled_from(LOCKS)
workers = st.sampled_from(WORKERS)
priorities = st.sampled_from((0, 0, 0, 1, -1, 32_767, -32_768))
spans = st.sampled_from([timedelta(seconds=seconds) for seconds in SECONDS])
moments = spans.map(lambda span: START + span)
places = st.integers(0, 40)
"""Which of the jobs there are, counted from the newest and around: so any number means some job."""

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([1e22, -0.0, 0.0, 10**30, 2**63, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
NO_ARGUMENTS: dict[str, Any] = {}
arguments = st.one_of(st.just(NO_ARGUMENTS), st.dictionaries(texts, json_values, max_size=3))
bad_arguments = st.sampled_from(
    [
        {"x": float("nan")},
        {"x": [float("inf")]},
        {"x": {"y": "\x00"}},
        {"\ud800": 1},
        {"x": {1: 2}},
        {"x": object()},
        {"x": timedelta(1)},
    ]
)


unique_terms: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "unique_key": st.sampled_from(("k", "k", "ü 'k'")),
        "unique_scope": st.sampled_from(("waiting", "waiting", "live")),
        "on_conflict": st.sampled_from(("skip", "replace", "skip", "replace", "raise")),
        "unique_period": st.sampled_from((None, None, None, timedelta(seconds=1), timedelta(seconds=60))),
    }
)


deliveries: st.SearchStrategy[Delivery] = st.sampled_from(
    ("at_least_once", "at_least_once", "at_least_once", "at_most_once", "transactional")
)
words = st.fixed_dictionaries({"fraction": st.sampled_from((None, 0.0, 0.25, 1.0)), "message": st.none() | texts})
"""What a run says of its progress."""


@st.composite
def _new_jobs(draw: st.DrawFn) -> NewJob:
    lock_mode: LockMode = draw(st.sampled_from(("ordered", "mutex")))
    terms: dict[str, Any] = draw(unique_terms) if draw(st.integers(0, 3)) == 0 else NO_ARGUMENTS
    return NewJob(
        task=draw(st.sampled_from(("t", "u"))),
        args=draw(arguments),
        queue=draw(queues),
        priority=draw(priorities),
        lock=draw(locks),
        lock_mode=lock_mode,
        delay=draw(st.sampled_from((None, None, None, *(timedelta(seconds=seconds) for seconds in SECONDS)))),
        max_losses=draw(st.sampled_from((3, 3, 3, 3, 1, 2))),
        delivery=draw(deliveries),
        metadata=draw(st.just(NO_ARGUMENTS) | arguments),
        expires_in=draw(
            st.sampled_from((None, None, None, None, *(timedelta(seconds=seconds) for seconds in SECONDS)))
        ),
        **terms,
    )


new_jobs = _new_jobs()


def _with_arguments(job: NewJob, args: Any) -> NewJob:
    return attrs.evolve(job, args=args)


bad_jobs = st.builds(_with_arguments, new_jobs, bad_arguments)


@attrs.frozen(kw_only=True)
class End:
    """What becomes of one run, before it is known which.

    Attributes:
        place: which of the running jobs; if none runs, which of all.
        fresh: how the claim differs from the one that the job has.
    """

    place: int
    fresh: int
    kind: Literal["succeeded", "failed", "retried", "snoozed", "released", "cancelled"]
    delay: timedelta
    keep: bool
    result: Any
    queue: str | None
    priority: int | None
    lock: Any
    delivery: Delivery | None
    progress: dict[str, Any] | None


ends = st.builds(
    End,
    place=places,
    fresh=st.sampled_from((0, 0, 0, 0, 0, 0, 0, 0, -1, 1)),
    kind=st.sampled_from(("succeeded", "failed", "retried", "snoozed", "released", "cancelled")),
    delay=spans,
    keep=st.sampled_from((True, True, True, False)),
    result=json_values,
    queue=st.none() | queues,
    priority=st.none() | priorities,
    lock=st.just(UNCHANGED) | locks,
    delivery=st.none() | st.none() | deliveries,
    progress=st.none() | st.none() | words,
)


@attrs.frozen(kw_only=True)
class Said:
    """What one run says of its progress, before it is known which."""

    place: int
    fresh: int
    word: dict[str, Any]


said = st.builds(Said, place=places, fresh=st.sampled_from((0, 0, 0, 0, -1, 1)), word=words)
changes = st.builds(
    JobChanges,
    delay=st.none() | spans,
    queue=st.none() | queues,
    priority=st.none() | priorities,
    lock=st.just(UNCHANGED) | locks,
    expires_at=st.just(UNCHANGED) | st.just(UNCHANGED) | st.none() | moments,
)
PAUSABLE: tuple[dict[str, Any], ...] = (
    *({"queue": queue} for queue in QUEUES),
    {"task": "t"},
    {"task": "u"},
    {"task": "a"},
    {"everything": True},
)
pausable = st.sampled_from(PAUSABLE)
"""What may be paused, by the names of the verb's arguments."""

WAITING_ALIKE = (State.READY, State.BLOCKED)
"""Found out lazily, so they may differ from connector to connector where no fetch has come to the job."""

states = st.none() | st.lists(st.sampled_from((State.SCHEDULED, State.RUNNING, *sorted(ENDED), WAITING_ALIKE))).map(
    lambda found: [state for entry in found for state in (entry if isinstance(entry, tuple) else (entry,))]
)
