"""The terms of a job: delivery, version, unique key, scope and expiry. Each job has its own, wherever it goes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pq_core.job import MAX_VERSION, Job
from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import START, Scene, boom, new

USUAL: dict[str, Any] = {"delivery": "at_least_once", "version": 1}
KEYED: dict[str, Any] = {"delivery": "transactional", "version": 3, "unique_key": "k", "unique_scope": "live"}
EXPIRING: dict[str, Any] = {
    "delivery": "transactional",
    "version": MAX_VERSION,
    "expires_at": START + timedelta(days=9),
}
OFTEN: dict[str, Any] = {"version": 2, "unique_key": "k"}
KINDS = [USUAL, KEYED, EXPIRING, OFTEN]
NAMES = ("delivery", "version", "unique_key", "unique_scope", "expires_at")


def terms_of(job: Job) -> tuple[Any, ...]:
    """Return the terms of a job, in the order of NAMES."""
    return tuple(getattr(job, name) for name in NAMES)


def meant(fields: dict[str, Any]) -> tuple[Any, ...]:
    """Return the terms that a job with these fields has."""
    scope = "waiting" if "unique_key" in fields else None
    whole = {"delivery": "at_least_once", "unique_key": None, "unique_scope": scope, "expires_at": None, **fields}
    return tuple(whole[name] for name in NAMES)


def retried(job: Job) -> Outcome:
    """Return that a run failed, and that the job runs again at once."""
    return Outcome.retried(job, boom())


def snoozed(job: Job) -> Outcome:
    """Return that the job runs again at once."""
    return Outcome.snoozed(job, timedelta(0))


class Terms(Case):
    """What stands on a job when it is deferred, and goes with it."""

    @pytest.mark.parametrize("fields", KINDS)
    async def test_a_job_has_the_terms_that_it_was_deferred_with(self, scene: Scene, fields: dict[str, Any]) -> None:
        assert terms_of(await scene.job(await scene.add(**fields))) == meant(fields)

    async def test_each_job_of_a_batch_has_its_own_terms(self, scene: Scene) -> None:
        batches = [KINDS[:3], [USUAL, OFTEN], [EXPIRING, USUAL], [KEYED, EXPIRING], [EXPIRING] * 2]
        for batch in batches:
            ids = await scene.defer(*(new(**fields) for fields in batch))
            assert [terms_of(await scene.job(number)) for number in ids] == [meant(fields) for fields in batch]
            await scene.cancel(*ids)

    @pytest.mark.parametrize("fields", KINDS)
    async def test_a_claimed_job_has_its_terms(self, scene: Scene, fields: dict[str, Any]) -> None:
        assert terms_of(await scene.run(**fields)) == meant(fields)

    @pytest.mark.parametrize("fields", KINDS)
    async def test_a_job_that_goes_on_has_its_terms(self, scene: Scene, fields: dict[str, Any]) -> None:
        job = await scene.run(**fields)
        for going_on in (retried, snoozed, Outcome.released):
            assert await scene.finish(going_on(job)) == [job.id]
            assert terms_of(await scene.job(job.id)) == meant(fields)
            (job,) = await scene.fetch()
        await scene.lose(1)
        assert terms_of(await scene.job(job.id)) == meant(fields)
        await scene.hire()
        (job,) = await scene.fetch()
        await scene.leave()
        assert terms_of(await scene.job(job.id)) == meant(fields)

    @pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
    @pytest.mark.parametrize("fields", KINDS)
    async def test_a_job_that_has_ended_had_its_terms(self, scene: Scene, fields: dict[str, Any], state: State) -> None:
        assert terms_of(await scene.end(state, **fields)) == meant(fields)

    @pytest.mark.parametrize("fields", KINDS)
    async def test_a_job_that_never_ran_had_its_terms(self, scene: Scene, fields: dict[str, Any]) -> None:
        number = await scene.add(**fields)
        await scene.cancel(number)
        assert terms_of(await scene.job(number)) == meant(fields)

    @pytest.mark.parametrize("fields", KINDS)
    async def test_a_job_that_is_retried_has_its_terms_but_no_expiry(
        self, scene: Scene, fields: dict[str, Any]
    ) -> None:
        job = await scene.end(State.FAILED, **fields)
        await scene.retry(job.id)
        assert terms_of(await scene.job(job.id)) == (*meant(fields)[:-1], None)
