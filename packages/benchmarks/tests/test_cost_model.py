from __future__ import annotations

import pytest

from pq_benchmarks.cost_model import fit, least_squares, tables
from pq_benchmarks.scenarios.load import BATCHED, RATES


def load(*, idle: float, per_job: float, per_call: float, singly: float) -> dict[str, float]:
    """What the scenario would give on a machine on which the model is exact."""
    figures = {"connections": 5.0}
    for rate in (0, *RATES, *BATCHED):
        calls = 2.0 * rate if rate in RATES else min(rate, 20.0)
        cost = idle + per_job * rate + per_call * calls
        more = singly * rate if rate in RATES else 0.0
        figures |= {
            f"rate_{rate}": float(rate),
            f"fetches_per_s_{rate}": calls / 2,
            f"finishes_per_s_{rate}": calls / 2,
        }
        figures |= {f"worker_us_per_s_{rate}": cost, f"postgres_us_per_s_{rate}": cost + more, f"client_us_{rate}": 7.0}
        figures[f"wal_per_s_{rate}"] = 1_000.0 * rate
    return figures


def test_the_constants_of_a_line_are_found() -> None:
    model = fit([load(idle=2_000.0, per_job=20.0, per_call=300.0, singly=150.0)])
    assert (model.worker.idle, model.worker.per_job, model.worker.per_call) == pytest.approx((2_000.0, 20.0, 300.0))
    assert (model.singly.per_job, model.singly.per_call) == pytest.approx((170.0, 300.0))
    assert model.wal_batched.per_job == pytest.approx(1_000.0)


def test_a_cost_is_of_jobs_and_of_the_batches_that_they_come_in() -> None:
    model = fit([load(idle=2_000.0, per_job=20.0, per_call=300.0, singly=150.0)])
    assert model.batched.at(10_000, batch=500) == pytest.approx(2_000 + 10_000 * 20 + 2 * 20 * 300)


def test_no_cost_is_below_zero() -> None:
    assert least_squares([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]], [0.5, 2.0, 3.5]) == pytest.approx([0.0, 0.75], abs=0.3)


def test_the_tables_reckon_with_a_million_jobs_a_second() -> None:
    assert "| 1,000,000 |" in tables(fit([load(idle=2_000.0, per_job=20.0, per_call=300.0, singly=150.0)]))


def test_a_run_without_the_scenario_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples of scenario load"):
        fit([])
