"""Hardening: opening, closing and forking, and whatever else a connector must survive or refuse."""

from __future__ import annotations

import os
import warnings
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import anyio
import pytest

from pq_core.connector import Connector, JobChanges, WorkerInfo
from pq_core.errors import ConnectorClosed, ForkedConnector, PQError
from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing.conformance.case import Case, in_time
from pq_testing.conformance.scene import EVERYTHING, START, Scene, boom, new

VERBS = (
    "defer",
    "fetch",
    "finish",
    "heartbeat",
    "rescue",
    "leave",
    "listen",
    "find",
    "count",
    "cancel",
    "retry",
    "reschedule",
    "prune",
    "queues",
    "purge",
    "pause",
    "resume",
    "pauses",
)
"""All but `migrate` and `check`, which may open what they need, as the schema may not exist yet."""


class Opening(Case):
    """The verbs `open`, `close`, `migrate` and `check`."""

    async def test_opening_what_is_open_does_nothing(self, scene: Scene) -> None:
        job = await scene.add()
        await scene.connector.open()
        await scene.connector.open()
        assert [found.id for found in await scene.jobs()] == [job]

    async def test_closing_what_is_closed_does_nothing(self, connector: Connector) -> None:
        await connector.close()
        await connector.close()

    @pytest.mark.parametrize("verb", VERBS)
    async def test_a_closed_connector_says_so(self, connector: Connector, verb: str) -> None:
        await connector.close()
        with pytest.raises(ConnectorClosed), in_time():
            await call(connector, verb)

    async def test_a_closed_connector_may_be_opened_again_and_has_lost_nothing(self, scene: Scene) -> None:
        job = await scene.run()
        await scene.connector.close()
        await scene.connector.open()
        assert await scene.jobs() == [job]
        assert await scene.succeed(job) == [job.id]

    async def test_the_schema_is_up_to_date_and_stays_so(self, connector: Connector) -> None:
        assert (await connector.check()).current
        assert await connector.migrate() == []
        assert (await connector.check()).current

    async def test_many_may_migrate_at_once(self, scene: Scene) -> None:
        job = await scene.add()
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(scene.connector.migrate)
        assert [found.id for found in await scene.jobs()] == [job]


class Forking(Case):
    """A connector in a fork of the process that opened it would share its sockets, or keep a copy that nobody sees."""

    @pytest.mark.parametrize("verb", VERBS)
    async def test_a_connector_in_a_fork_says_so(self, scene: Scene, verb: str) -> None:
        if not self.supports_fork or not hasattr(os, "fork"):
            pytest.skip("supports_fork is False, or this system does not fork")
        await scene.add()
        assert fork_and_call(scene.connector, verb) == ForkedConnector.__name__
        assert len(await scene.jobs()) == 1


class Hardening(Case):
    """Odd input and odd orders of calls: each verb answers, or names what is wrong, and the store stays whole."""

    @pytest.mark.parametrize("name", ["", "nul\x00", "half \ud83d", "x" * 501])
    @pytest.mark.parametrize("verb", ["pause", "resume"])
    async def test_a_queue_that_cannot_be_is_refused(self, connector: Connector, verb: str, name: str) -> None:
        with pytest.raises(PQError) as caught:
            await getattr(connector, verb)(name, now=START)
        assert isinstance(caught.value, ValueError)
        assert await connector.queues(now=START) == []

    async def test_fetching_queues_that_cannot_be_gives_nothing(self, scene: Scene) -> None:
        await scene.hire()
        await scene.add()
        assert await scene.fetch(queues=["", "x" * 501]) == []

    async def test_every_verb_works_on_an_empty_store(self, scene: Scene) -> None:
        connector, now = scene.connector, scene.now
        assert await connector.rescue(now=now) == []
        assert await connector.find(EVERYTHING, now=now) == []
        assert await connector.queues(now=now) == []
        assert await connector.prune(timedelta(0), now=now) == 0
        assert await connector.cancel([1], now=now) == []
        assert await connector.retry([1], now=now) == []
        assert await connector.reschedule([1], JobChanges(priority=1), now=now) == []
        assert await connector.finish([], now=now) == []
        await scene.hire()
        assert (await connector.fetch(1, None, 1, now=now)).next_in is None

    async def test_sequences_need_not_be_lists(self, scene: Scene) -> None:
        await scene.hire()
        deferred = await scene.connector.defer((new(queue="a"), new(queue="b")), now=scene.now)
        ids = tuple(job.id for job in deferred)
        fetched = await scene.connector.fetch(1, ("a", "b"), 2, now=scene.now)
        outcomes = tuple(Outcome.failed(job, boom()) for job in fetched.jobs)
        assert len(await scene.connector.finish(outcomes, now=scene.now)) == len(fetched.jobs) > 0
        await scene.cancel(*ids)
        assert len(await scene.connector.retry(ids, now=scene.now)) == 2

    async def test_a_worker_may_tell_anything_that_json_carries_about_itself(self, scene: Scene) -> None:
        details = {"host": "größe 🐘", "pid": 2**40, "nested": {"list": [1.5, None, True]}}
        info = WorkerInfo(id=1, name="w" * 200, queues=["a", "'b'"], details=details)
        assert await scene.connector.heartbeat(info, timedelta(seconds=5), now=scene.now) == []
        job = await scene.add()
        assert await scene.fetch_ids() == [job]

    async def test_a_worker_may_run_a_thousand_jobs(self, scene: Scene) -> None:
        await scene.hire()
        ids = await scene.defer(*(new(lock=f"lock {n}" if n % 10 == 0 else None) for n in range(1000)))
        jobs = await scene.fetch(limit=1000)
        assert [job.id for job in jobs] == ids
        await scene.cancel(*ids[::2])
        assert await scene.hire() == ids[::2]
        assert list(await scene.leave()) == ids
        assert await scene.counts() == {State.READY: 500, State.CANCELLED: 500}

    async def test_readers_and_writers_at_once_do_not_trip_each_other(self, scene: Scene) -> None:
        await scene.hire()
        ids = await scene.defer(*(new(lock=f"lock {n % 5}") for n in range(60)))

        async def steer(offset: int) -> None:
            for job in ids[offset::3]:
                await scene.cancel(job)
                await scene.retry(job)
                await scene.connector.reschedule([job], JobChanges(priority=offset), now=scene.now)

        async def work() -> None:
            for _ in range(30):
                await scene.succeed(*await scene.fetch(limit=3))
                await scene.rescue()
                await scene.counts()

        with anyio.fail_after(40):
            async with anyio.create_task_group() as group:
                for offset in range(3):
                    group.start_soon(steer, offset)
                group.start_soon(work)
        while jobs := await scene.fetch(limit=100):
            await scene.succeed(*jobs)
        counts = await scene.counts()
        assert set(counts) <= {State.SUCCEEDED, State.CANCELLED}
        assert sum(counts.values()) == 60


def call(connector: Connector, verb: str) -> Coroutine[Any, Any, object]:
    """Call a verb with arguments that are in order."""
    arguments: dict[str, tuple[Any, ...]] = {
        "defer": ([new()],),
        "fetch": (1, None, 1),
        "finish": ([],),
        "heartbeat": (WorkerInfo(id=1), timedelta(seconds=1)),
        "leave": (1,),
        "listen": (None, lambda: None),
        "find": (EVERYTHING,),
        "count": (EVERYTHING,),
        "cancel": ([1],),
        "retry": ([1],),
        "reschedule": ([1], JobChanges()),
        "prune": (None,),
        "purge": ([1],),
        "pause": ("q",),
        "resume": ("q",),
    }
    coroutine: Coroutine[Any, Any, object] = getattr(connector, verb)(*arguments.get(verb, ()))
    return coroutine


def fork_and_call(connector: Connector, verb: str) -> str:
    """Call a verb in a fork of this process; return the name of the error, or of what it did instead."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # A fork beside threads: that is the mistake to be found.
        child = os.fork()
    if child == 0:
        try:
            os.write(writer, first_step(connector, verb).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


def first_step(connector: Connector, verb: str) -> str:
    """Start a verb without an event loop, which does not survive a fork either: it must refuse before it waits."""
    try:
        call(connector, verb).send(None)
    except StopIteration:
        return "an answer"
    except BaseException as error:  # noqa: BLE001 - the child must not go on
        return type(error).__name__
    return "waiting"
