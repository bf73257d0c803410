"""Waiting for the end of a job: those who watch it are told once, when that is true."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic

import anyio
import pytest

from pq_core.connector import Connector
from pq_core.job import Job
from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing.conformance import case
from pq_testing.conformance.case import Case, in_time
from pq_testing.conformance.finishing import HOUR
from pq_testing.conformance.listening import A_WHILE
from pq_testing.conformance.scene import Scene, boom

LONG = 3600.0
"""Seconds that no case may take: what waits so long was told."""
Deed = Callable[[Scene, Job], Awaitable[object]]


async def _lose(scene: Scene, job: Job) -> None:
    assert await scene.lose(job.worker or 0) == {job.id: State.FAILED}


ENDS: dict[str, Deed] = {
    "succeeded": lambda scene, job: scene.succeed(job),
    "failed": lambda scene, job: scene.finish(Outcome.failed(job, boom())),
    "cancelled": lambda scene, job: scene.finish(Outcome.cancelled(job, "no more")),
    "left no trace": lambda scene, job: scene.finish(Outcome.succeeded(job, keep=False)),
    "lost": _lose,
}
GOES_ON: dict[str, Deed] = {
    "retried": lambda scene, job: scene.finish(Outcome.retried(job, boom(), delay=HOUR)),
    "released": lambda scene, job: scene.finish(Outcome.released(job)),
    "asked to stop": lambda scene, job: scene.cancel(job.id),
}


class Waiting(Case):
    """The verb `watch`."""

    @pytest.fixture
    def told(self) -> None:
        """Skip a case that waits for word from the store."""
        if not self.supports_listen:
            pytest.skip("supports_listen is False: who waits looks again")

    @pytest.mark.usefixtures("told")
    @pytest.mark.parametrize("end", list(ENDS))
    async def test_who_waits_is_told_of_any_end(self, scene: Scene, end: str) -> None:
        job = await scene.run(max_losses=1)
        async with scene.connector.watch(job.id) as watch:
            with in_time():
                async with anyio.create_task_group() as group:
                    group.start_soon(watch.wait, LONG)
                    await ENDS[end](scene, job)

    @pytest.mark.usefixtures("told")
    async def test_what_ended_before_the_wait_but_in_the_watch_is_told(self, scene: Scene) -> None:
        job = await scene.run()
        async with scene.connector.watch(job.id) as watch:
            await scene.succeed(job)
            with in_time():
                await watch.wait(LONG)

    @pytest.mark.usefixtures("told")
    async def test_a_waiting_job_that_is_cancelled_is_told_of(self, scene: Scene) -> None:
        number = await scene.add(delay=timedelta(days=1))
        async with scene.connector.watch(number) as watch:
            await scene.cancel(number)
            with in_time():
                await watch.wait(LONG)

    @pytest.mark.usefixtures("told")
    async def test_all_who_wait_for_a_job_are_told_and_only_they(self, scene: Scene) -> None:
        one, other = await scene.run(), await scene.run()
        watching = scene.connector.watch
        async with watching(one.id) as first, watching(one.id) as second, watching(other.id) as third:
            await scene.succeed(one)
            with in_time():
                await first.wait(LONG)
                await second.wait(LONG)
            with anyio.move_on_after(A_WHILE) as scope:
                await third.wait(LONG)
            assert scope.cancelled_caught
            await scene.succeed(other)
            with in_time():
                await third.wait(LONG)

    @pytest.mark.usefixtures("told")
    async def test_who_watches_when_another_has_stopped_is_told(self, scene: Scene) -> None:
        job = await scene.run()
        async with scene.connector.watch(job.id) as watch:
            async with scene.connector.watch(job.id):
                pass
            await scene.succeed(job)
            with in_time():
                await watch.wait(LONG)

    @pytest.mark.parametrize("way", list(GOES_ON))
    async def test_a_job_that_goes_on_has_not_ended(self, scene: Scene, way: str) -> None:
        job = await scene.run()
        async with scene.connector.watch(job.id) as watch:
            await GOES_ON[way](scene, job)
            with anyio.move_on_after(A_WHILE) as scope:
                await watch.wait(LONG)
            assert scope.cancelled_caught, "the watch was woken though the job lives on"

    async def test_a_wait_ends_after_its_time(self, scene: Scene) -> None:
        job = await scene.run()
        async with scene.connector.watch(job.id) as watch:
            with in_time():
                await watch.wait(0.01)
        assert await scene.state(job.id) is State.RUNNING

    async def test_jobs_that_have_ended_or_never_were_may_be_watched(self, scene: Scene) -> None:
        ended = await scene.end()
        for number in (ended.id, 404, 2**63 - 1, -1):
            async with scene.connector.watch(number) as watch:
                await watch.wait(0.0)

    @pytest.mark.usefixtures("told")
    async def test_who_waits_in_a_thread_is_told(self, scene: Scene) -> None:
        job = await scene.run()
        entered = anyio.Event()
        took: list[float] = []

        def wait() -> None:
            with scene.connector.sync.watch(job.id) as watch:
                anyio.from_thread.run_sync(entered.set)
                began = monotonic()
                watch.wait(case.DEADLINE)
                took.append(monotonic() - began)

        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, wait)
            await entered.wait()
            await scene.succeed(job)
        assert took[0] < case.DEADLINE

    @pytest.mark.usefixtures("told")
    async def test_a_listener_is_not_woken_by_an_end(self, scene: Scene, connector: Connector) -> None:
        job = await scene.run()
        heard: list[None] = []
        async with scene.connector.watch(job.id) as watch, anyio.create_task_group() as group:
            group.start_soon(connector.listen, None, lambda: heard.append(None))
            with in_time():
                while not heard:  # noqa: ASYNC110 - what is waited for comes from another connection
                    await anyio.sleep(0.001)
                await scene.succeed(job)
                await watch.wait(LONG)
            await anyio.sleep(A_WHILE)
            assert len(heard) == 1
            group.cancel_scope.cancel()
