"""Fetched jobs are read in a hurry: what comes of it is what `find` reads at leisure."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, timedelta

import attrs
import psycopg
import pytest

import pq_core as pq
from pq_core.connector import WorkerInfo
from pq_core.job import Job
from pq_core.postgres import PsycopgConnector
from pq_core.selection import JobFilter

pytestmark = pytest.mark.anyio
TIMES = ("scheduled_at", "created_at", "started_at")


@pytest.fixture
async def fetched(connector: PsycopgConnector) -> list[Job]:
    """Give three claimed jobs of one fetch, the second of which is unusual in every way."""
    unusual = pq.NewJob(
        task="b", args={"ü": [1, {"x": None}]}, queue="q", priority=7, metadata={"m": 1}, unique_key="k",
        expires_in=timedelta(hours=1), version=3, delivery="at_most_once",
    )  # fmt: skip
    return await claimed(connector, [pq.NewJob(task="a", args={"i": 1}), unusual, pq.NewJob(task="a", args={})])


async def claimed(connector: PsycopgConnector, jobs: list[pq.NewJob]) -> list[Job]:
    await connector.defer(jobs)
    await connector.heartbeat(WorkerInfo(id=1), timedelta(hours=1))
    return list((await connector.fetch(1, None, 10)).jobs)


async def found(connector: PsycopgConnector) -> list[Job]:
    jobs = await connector.find(JobFilter())
    return sorted(jobs, key=lambda job: (-job.priority, job.id))


async def test_a_fetched_job_is_the_one_that_find_reads(connector: PsycopgConnector, fetched: list[Job]) -> None:
    assert fetched == await found(connector)
    assert repr(fetched) == repr(await found(connector))
    assert {getattr(job, name).tzinfo for job in fetched for name in TIMES} == {UTC}


async def test_a_fetched_job_can_be_copied_pickled_and_changed_like_any_other(fetched: list[Job]) -> None:
    for job in fetched:
        assert pickle.loads(pickle.dumps(job)) == copy.copy(job) == copy.deepcopy(job) == attrs.evolve(job) == job
        assert attrs.evolve(job, attempt=5, started_at=job.created_at).started_at == job.created_at
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            job.created_at = job.scheduled_at  # type: ignore[misc]


async def test_fetched_jobs_share_nothing_that_can_be_changed(fetched: list[Job]) -> None:
    first, *others = fetched
    for job in fetched:
        job.errors.append({})
        job.metadata["by"] = job.id
    assert [job.errors for job in others] == [[{}], [{}]]
    assert first.metadata == {"m": 1, "by": first.id}


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns"])
async def test_times_are_right_whatever_zone_the_database_is_in(
    session: psycopg.Connection, dsn: str, zone: str
) -> None:
    session.execute(f"alter database {session.info.dbname} set timezone = '{zone}'".encode())
    elsewhere = PsycopgConnector(dsn)
    await elsewhere.open()
    try:
        assert await claimed(elsewhere, [pq.NewJob(task="a")]) == await found(elsewhere)
    finally:
        await elsewhere.close()


async def test_no_class_of_a_job_has_a_time_of_its_own() -> None:
    for name in ("scheduled_at", "created_at"):
        with pytest.raises(AttributeError):
            getattr(Job, name)
