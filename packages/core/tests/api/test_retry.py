"""How often, when and where a failed job runs again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pq_core.delays import Delay
from pq_core.errors import InvalidOption
from pq_core.job import Job
from pq_core.outcome import UNCHANGED
from pq_core.retry import BaseRetryStrategy, RetryDecision, RetryStrategy, strategy
from pq_core.states import State

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(attempt: int) -> Job:
    return Job(
        id=1, task="t", args={}, queue="default", priority=0, lock=None, lock_mode="ordered", state=State.RUNNING,
        attempt=attempt, claim=attempt, losses=0, max_losses=3, scheduled_at=NOW, created_at=NOW,
    )  # fmt: skip


def decision(retry: Any, attempt: int, error: BaseException | None = None) -> RetryDecision | None:
    chosen = strategy(retry)
    return chosen.get_retry_decision(exception=error or ValueError("broken"), job=job(attempt)) if chosen else None


@pytest.mark.parametrize("retry", [3, RetryStrategy(max_attempts=3)])
def test_a_number_means_runs_in_all(retry: Any) -> None:
    assert [decision(retry, n) is not None for n in (1, 2, 3, 4)] == [True, True, False, False]


def test_one_run_means_no_retry() -> None:
    assert decision(1, 1) is None


def test_true_means_without_end_and_false_never() -> None:
    assert decision(True, 1_000_000) == RetryDecision(retry_in=0)
    assert decision(False, 1) is None
    assert decision(None, 1) is None


@pytest.mark.parametrize(
    "options,waits",
    [
        ({"wait": 5}, [5, 5, 5]),
        ({"linear_wait": 5}, [5, 10, 15]),
        ({"exponential_wait": 3}, [9, 27, 81]),
        ({"wait": 1, "linear_wait": 2, "exponential_wait": 2}, [1 + 2 + 4, 1 + 4 + 8, 1 + 6 + 16]),
        ({"wait": 0.25}, [0.25, 0.25, 0.25]),
        ({"linear_wait": 10, "max_wait": 15}, [10, 15, 15]),
    ],
)
def test_a_wait_grows_with_the_runs_up_to_its_limit(options: dict[str, Any], waits: list[float]) -> None:
    assert [RetryStrategy(**options).get_schedule_in(n) for n in (1, 2, 3)] == waits


def test_a_wait_that_outgrows_floats_is_the_longest_there_is() -> None:
    wait = RetryStrategy(exponential_wait=10).get_schedule_in(5_000)
    assert wait == timedelta(days=365_250).total_seconds()
    assert RetryDecision(retry_in=wait).delay(NOW) == timedelta(days=365_250)
    assert RetryStrategy(exponential_wait=10, max_wait=60).get_schedule_in(5_000) == 60


def test_jitter_adds_up_to_its_fraction_and_respects_the_limit() -> None:
    waits = [RetryStrategy(wait=100, jitter=0.5).get_schedule_in(1) or 0 for _ in range(500)]
    assert 100 <= min(waits) < 110
    assert 140 < max(waits) <= 150
    assert {RetryStrategy(wait=100, jitter=0.5, max_wait=100).get_schedule_in(1) for _ in range(50)} == {100}


def test_only_the_exceptions_named_are_retried() -> None:
    retry = RetryStrategy(retry_exceptions=[OSError, KeyError])
    assert decision(retry, 1, ConnectionResetError()) is not None
    assert decision(retry, 1, KeyError()) is not None
    assert decision(retry, 1, ValueError()) is None
    assert decision(RetryStrategy(retry_exceptions=OSError), 1, ConnectionResetError()) is not None


def test_a_strategy_of_ones_own_may_say_only_how_long() -> None:
    class Growing(BaseRetryStrategy):
        def get_schedule_in(self, attempts: int) -> Delay | None:
            return {"minutes": attempts} if attempts < 3 else None

    first = decision(Growing(), 2)
    assert first is not None
    assert first.delay(NOW) == timedelta(minutes=2)
    assert decision(Growing(), 3) is None


def test_a_strategy_of_ones_own_may_move_the_job() -> None:
    class Moving(BaseRetryStrategy):
        def get_retry_decision(self, exception: BaseException, job: Job) -> RetryDecision | None:
            return RetryDecision(retry_in=timedelta(hours=1), queue=f"after {job.attempt}", priority=-1, lock=None)

    assert decision(Moving(), 4) == RetryDecision(retry_in=timedelta(hours=1), queue="after 4", priority=-1, lock=None)


def test_a_strategy_that_decides_nothing_is_refused() -> None:
    class Undecided(BaseRetryStrategy): ...

    with pytest.raises(InvalidOption, match="Undecided must define get_schedule_in or get_retry_decision"):
        strategy(Undecided())


def test_a_decision_by_moment_counts_from_now_and_never_back() -> None:
    assert RetryDecision(retry_at=NOW + timedelta(hours=2)).delay(NOW) == timedelta(hours=2)
    assert RetryDecision(retry_at=NOW - timedelta(hours=2)).delay(NOW) == timedelta(0)
    assert RetryDecision().delay(NOW) == timedelta(0)
    assert RetryDecision().lock is UNCHANGED


@pytest.mark.parametrize(
    "options,why",
    [
        ({"retry_in": -1}, "retry_in .* is negative"),
        ({"retry_in": float("nan")}, "no finite number"),
        ({"retry_in": {"parsecs": 1}}, "unknown unit"),
        ({"retry_in": 1, "retry_at": NOW}, "exclude each other"),
        ({"retry_at": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001 - that is the fault
        ({"queue": ""}, "queue '' is not a text"),
        ({"priority": 40_000}, "priority 40000"),
        ({"lock": "x" * 2_001}, "has 2001 characters"),
    ],
)
def test_a_decision_that_no_job_can_take_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidOption, match=why):
        RetryDecision(**options)


@pytest.mark.parametrize(
    "options,why",
    [
        ({"max_attempts": 0}, "max_attempts 0"),
        ({"max_attempts": 2.5}, "max_attempts 2.5"),
        ({"wait": -1}, "wait -1"),
        ({"linear_wait": float("inf")}, "linear_wait inf"),
        ({"exponential_wait": "2"}, "exponential_wait '2'"),
        ({"jitter": 1.5}, "jitter 1.5 is not from 0 to 1"),
        ({"max_wait": -0.1}, "max_wait -0.1"),
        ({"retry_exceptions": ["ValueError"]}, "'ValueError', which is not a class of exceptions"),
        ({"retry_exceptions": int}, "not a class of exceptions"),
    ],
)
def test_a_strategy_with_an_impossible_option_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidOption, match=why):
        RetryStrategy(**options)


@pytest.mark.parametrize("retry", [0, -1, "5", 1.0])
def test_anything_else_is_no_retry_option(retry: Any) -> None:
    with pytest.raises(InvalidOption, match="is not a number of runs"):
        strategy(retry)
