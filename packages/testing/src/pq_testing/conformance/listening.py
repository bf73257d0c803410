"""Listening: workers hear of what may be fetched or must stop, once it is true."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import anyio
import attrs
import pytest

from pq_core.connector import JobChanges
from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing.conformance.case import Case, Transactions, Undo, until
from pq_testing.conformance.scene import Scene, boom, new

HOUR = timedelta(hours=1)
A_WHILE = 0.05
"""Seconds in which what was on its way to a listener has come. Too short, it lets a mistake pass, but finds none."""


@attrs.define
class Ear:
    """Counts how often a listener was woken."""

    heard: int = 0

    def wake(self) -> None:
        """Be woken."""
        self.heard += 1

    async def hears(self, times: int) -> None:
        """Wait until it was woken so often, in all."""
        await until(lambda: self.heard >= times, f"{times} calls of wake(); there were {self.heard}")

    async def hears_just(self, times: int) -> None:
        """Wait likewise, and then as long as one more would take, if there were one."""
        await self.hears(times)
        await anyio.sleep(A_WHILE)
        assert self.heard == times, f"wake() was called {self.heard} times instead of {times}"


Deed = Callable[[Scene], Awaitable[object]]


class Listening(Case):
    """The verb `listen`. Only what a listener must hear is asked for; now and then it may hear more."""

    @asynccontextmanager
    async def listener(self, scene: Scene, queues: Sequence[str] | None) -> AsyncGenerator[Ear]:
        """Listen, from when it works until the end."""
        if not self.supports_listen:
            pytest.skip("supports_listen is False: workers of this connector poll")
        ear = Ear()
        async with anyio.create_task_group() as group:
            group.start_soon(scene.connector.listen, queues, ear.wake)
            await ear.hears(1)
            yield ear
            group.cancel_scope.cancel()

    async def test_it_wakes_once_at_the_start(self, scene: Scene) -> None:
        await scene.add()
        async with self.listener(scene, ["default"]) as ear:
            assert ear.heard == 1

    async def test_it_wakes_when_a_job_is_deferred_to_its_queues(self, scene: Scene) -> None:
        async with self.listener(scene, ["a", "b"]) as ear:
            await scene.add(queue="a")
            await ear.hears(2)
            await scene.add(queue="b")
            await ear.hears(3)

    async def test_it_does_not_wake_for_other_queues(self, scene: Scene) -> None:
        async with self.listener(scene, ["mine"]) as ear:
            await scene.add(queue="other")
            await ear.hears_just(1)
            await scene.add(queue="mine")
            await ear.hears_just(2)

    async def test_none_listens_to_every_queue(self, scene: Scene) -> None:
        async with self.listener(scene, None) as ear:
            await scene.add(queue="whatever")
            await ear.hears(2)

    @pytest.mark.parametrize("name", ["x" * 500, "🐘" * 500, 'it\'s "a" queue; --\n\\'])
    async def test_a_queue_of_any_name_is_heard(self, scene: Scene, name: str) -> None:
        async with self.listener(scene, [name]) as ear:
            await scene.add(queue=name)
            await ear.hears(2)

    async def test_one_call_of_defer_wakes_once_per_queue(self, scene: Scene) -> None:
        async with self.listener(scene, ["a"]) as ear:
            await scene.defer(*(new(queue="a") for _ in range(50)))
            await ear.hears(2)
            await scene.add(queue="a")
            await ear.hears_just(3)

    async def test_all_who_listen_are_woken(self, scene: Scene) -> None:
        async with self.listener(scene, ["a"]) as one, self.listener(scene, None) as two:
            await scene.add(queue="a")
            await one.hears(2)
            await two.hears(2)

    async def test_who_stopped_listening_is_not_woken(self, scene: Scene) -> None:
        async with self.listener(scene, ["a"]) as gone:
            pass
        heard = gone.heard
        async with self.listener(scene, ["a"]) as ear:
            await scene.add(queue="a")
            await ear.hears(2)
        assert gone.heard == heard

    async def test_a_connector_may_be_listened_to_again_and_again(self, scene: Scene) -> None:
        for _ in range(3):
            async with self.listener(scene, ["a"]) as ear:
                await scene.add(queue="a")
                await ear.hears(2)

    @pytest.mark.parametrize(
        "deed",
        [
            *("resume", "cancel", "retry", "reschedule", "rescue", "leave", "release", "retried", "unblock", "uncover"),
            *("resume_a_task", "resume_everything", "expire", "purge"),
        ],
    )
    async def test_it_wakes_for_all_that_makes_a_job_ready_or_asks_it_to_stop(self, scene: Scene, deed: str) -> None:
        prepared = await DEEDS[deed](scene)
        async with self.listener(scene, ["q"]) as ear:
            await prepared(scene)
            await ear.hears(2)

    async def test_it_wakes_at_the_commit_and_not_before(self, scene: Scene, transactions: Transactions) -> None:
        async with self.listener(scene, ["a", "b"]) as ear:
            async with transactions.begin() as connection:
                await scene.connector.defer([new(queue="a"), new(queue="a")], connection=connection, now=scene.now)
                await scene.add(queue="b")
                await ear.hears(2)
                await scene.add(queue="b")
                await ear.hears_just(3)
            await ear.hears(4)
            await scene.add(queue="b")
            await ear.hears_just(5)

    async def test_it_does_not_wake_for_a_rollback(self, scene: Scene, transactions: Transactions) -> None:
        async with self.listener(scene, ["a", "b"]) as ear:
            with suppress(Undo):
                async with transactions.begin() as connection:
                    await scene.connector.defer([new(queue="a")], connection=connection, now=scene.now)
                    raise Undo
            await scene.add(queue="b")
            await ear.hears(2)
            await scene.add(queue="b")
            await ear.hears_just(3)


async def resume(scene: Scene) -> Deed:
    """Resume a paused queue."""
    await scene.add(queue="q")
    await scene.connector.pause("q", now=scene.now)
    return lambda scene: scene.connector.resume("q", now=scene.now)


async def resume_a_task(scene: Scene) -> Deed:
    """Resume a paused task, of which a fetch has found a job."""
    await scene.hire()
    await scene.add("t", queue="q")
    await scene.connector.pause(task="t", now=scene.now)
    assert await scene.fetch() == []
    return lambda scene: scene.connector.resume(task="t", now=scene.now)


async def resume_everything(scene: Scene) -> Deed:
    """Let everything go on."""
    await scene.add(queue="q")
    await scene.connector.pause(everything=True, now=scene.now)
    return lambda scene: scene.connector.resume(everything=True, now=scene.now)


async def expire(scene: Scene) -> Deed:
    """Let the head of a lock expire, on another queue."""
    await scene.hire()
    await scene.add(queue="other", lock="l", delay=HOUR, expires_in=timedelta(seconds=1))
    await scene.add(queue="q", lock="l")
    assert await scene.fetch(queues=["q"]) == []
    scene.wait(seconds=1)
    return lambda scene: scene.connector.fetch(1, ["other"], 1, now=scene.now)


async def purge(scene: Scene) -> Deed:
    """Delete the head of a lock, on another queue."""
    await scene.hire()
    head = await scene.add(queue="other", lock="l", delay=HOUR)
    await scene.add(queue="q", lock="l")
    assert await scene.fetch(queues=["q"]) == []
    return lambda scene: scene.connector.purge([head], now=scene.now)


async def cancel(scene: Scene) -> Deed:
    """Ask a running job to stop."""
    job = await scene.run(queue="q")
    return lambda scene: scene.cancel(job.id)


async def retry(scene: Scene) -> Deed:
    """Retry an ended job."""
    job = await scene.end(State.FAILED, queue="q")
    return lambda scene: scene.retry(job.id)


async def reschedule(scene: Scene) -> Deed:
    """Let a scheduled job run now."""
    job = await scene.add(queue="q", delay=HOUR)
    return lambda scene: scene.connector.reschedule([job], JobChanges(delay=timedelta(0)), now=scene.now)


async def rescue(scene: Scene) -> Deed:
    """Give back the job of a dead worker."""
    await scene.run(1, queue="q")
    return lambda scene: scene.lose(1)


async def leave(scene: Scene) -> Deed:
    """Let a worker go that runs a job."""
    await scene.run(1, queue="q")
    return lambda scene: scene.leave(1)


async def release(scene: Scene) -> Deed:
    """Release a job."""
    job = await scene.run(queue="q")
    return lambda scene: scene.finish(Outcome.released(job))


async def retried(scene: Scene) -> Deed:
    """Let a run on another queue fail, to be retried here at once."""
    job = await scene.run(queue="other")
    return lambda scene: scene.finish(Outcome.retried(job, boom(), queue="q"))


async def unblock(scene: Scene) -> Deed:
    """Let the head of a lock end, on another queue."""
    head = await scene.run(queue="other", lock="l")
    await scene.add(queue="q", lock="l")
    assert await scene.fetch(queues=["q"]) == []
    return lambda scene: scene.succeed(head)


async def uncover(scene: Scene) -> Deed:
    """Cancel the head of a lock, on another queue."""
    await scene.hire()
    head = await scene.add(queue="other", lock="l", delay=HOUR)
    await scene.add(queue="q", lock="l")
    assert await scene.fetch(queues=["q"]) == []
    return lambda scene: scene.cancel(head)


DEEDS: dict[str, Callable[[Scene], Awaitable[Deed]]] = {
    deed.__name__: deed
    for deed in (
        resume,
        cancel,
        retry,
        reschedule,
        rescue,
        leave,
        release,
        retried,
        unblock,
        uncover,
        resume_a_task,
        resume_everything,
        expire,
        purge,
    )
}
"""Each prepares a store and returns what, done then, a listener to ``q`` must hear."""
