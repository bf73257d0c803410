"""Where jobs run: `concurrency` runners that take claimed jobs, one after the other, from one line."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

import anyio
import anyio.lowlevel

from pq_core.context import Stop
from pq_core.job import Job
from pq_core.log import fields
from pq_core.outcome import Outcome
from pq_core.worker.cut_short import cut_short
from pq_core.worker.interruption import Interruption, everything_is_cancelled, interruption_of_this_task
from pq_core.worker.run import Run

logger = logging.getLogger("pq_core.worker")

HORIZON = 0.25
"""Jobs are claimed ahead only as many as will start within so many seconds, judged by recent ones."""
LONGEST_WAIT = 1.0
"""Seconds after which a job that was claimed ahead, and has not started, is given back."""
TURN = 0.001
"""Seconds that a runner may go on without giving others a turn: tasks that never wait would starve the heartbeat."""
HELPERS = 4
"""Runners that a runner wakes when its job has to wait, and others stand in line: they wake others in turn."""
MEMORY = 0.05
"""Weight of the latest job in the mean of durations."""

clock = time.perf_counter


class Slots:
    """The line of claimed jobs, and the runners that take from it.

    Args:
        concurrency: how many runners there are.
        most_ahead: how many jobs are claimed ahead at most.
        begin: starts a run, and says what became of it, or gives what is to be awaited for that.
        done: takes the outcomes.
        room: is called when there is room for more jobs.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        most_ahead: int,
        begin: Callable[[Run], Outcome | Awaitable[Outcome]],
        done: Callable[[Outcome], None],
        room: Callable[[], None],
    ) -> None:
        self._concurrency = concurrency
        self._most_ahead = most_ahead
        self._begin = begin
        self._done = done
        self._room = room
        self._line: deque[Run] = deque()
        self._running: set[Run] = set()
        self._idle: deque[anyio.Event] = deque()
        self._mean: float | None = None
        self._refill_below = 0
        self._nudged = False

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits to run."""
        return bool(self._running or self._line)

    @property
    def running(self) -> list[Job]:
        """The jobs that run."""
        return [run.job for run in self._running]

    @property
    def runs(self) -> Sequence[Run]:
        """The same, with what they have said, and were asked."""
        return [*self._running]

    @property
    def claims(self) -> set[tuple[int, int]]:
        """The (job id, claim) of all jobs that run or wait to run."""
        return {(run.job.id, run.job.claim) for runs in (self._running, self._line) for run in runs}

    def wanted(self) -> int:
        """Return how many more jobs to claim: 0 while there are enough for now."""
        ahead = self._ahead()
        self._refill_below = ahead // 2
        self._nudged = False
        lined_up = len(self._line)
        free = self._concurrency - len(self._running) - lined_up
        if free <= 0 and lined_up > self._refill_below:
            return 0
        return max(free + ahead, 0)

    def put(self, jobs: Iterable[Job]) -> None:
        """Line up claimed jobs, and wake a runner. One whose job has to wait wakes others: few, if jobs are quick."""
        now = clock()
        self._line.extend([Run(job, now) for job in jobs])
        self._wake(1)

    def stop(self, ids: Iterable[int], why: Stop) -> None:
        """Ask the jobs with these ids to stop; those that wait to run are given back."""
        asked = set(ids)
        for run in [run for run in self._line if run.job.id in asked]:
            self._line.remove(run)
            self._done(Outcome.released(run.job))
        for run in self._running:
            if run.job.id in asked:
                run.stop(why)

    def stop_all(self) -> None:
        """Ask all jobs to stop because the worker does."""
        self.give_back()
        for run in self._running:
            run.stop("shutdown")

    def give_back(self) -> int:
        """Release the jobs that wait to run; return how many."""
        count = len(self._line)
        while self._line:
            self._done(Outcome.released(self._line.popleft().job))
        return count

    def overdue(self, now: float) -> float | None:
        """Return the seconds until the first job in line has waited too long, or None if there is no line."""
        return self._line[0].since + LONGEST_WAIT - now if self._line else None

    def give_back_overdue(self) -> int:
        """Release the line if its first job has waited too long: jobs take longer than thought. Return how many."""
        left = self.overdue(clock())
        if left is None or left > 0:
            return 0
        self._mean = None
        return self.give_back()

    async def run(self) -> None:
        """Run jobs until cancelled."""
        async with anyio.create_task_group() as runners:
            for _ in range(self._concurrency):
                runners.start_soon(self._keep_runner)

    async def _keep_runner(self) -> None:
        """Let one runner after the other run jobs, each in a task of its own, until cancelled."""
        while True:
            faults: list[Exception] = []
            try:
                async with anyio.create_task_group() as alone:
                    alone.start_soon(self._runner, faults)
            except ExceptionGroup:  # the runner's task has ended inside a scope that is not its own
                logger.warning(
                    "A job has ended and left a cancel scope open, as an async generator may that is not exhausted. "
                    "Its slot is made anew; if that has cut off the job that ran there next, it is given back",
                    extra=fields("scope_left_open"),
                )
            if faults:
                raise faults[0]

    async def _runner(self, faults: list[Exception]) -> None:
        """Run jobs until cancelled, by the end of the worker, or alone, by whomever."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        try:
            with anyio.CancelScope() as scope:
                try:
                    await self._serve(interruption_of_this_task(scope))
                except Exception as fault:  # noqa: BLE001 - it is told from those of scopes, and raised
                    faults.append(fault)
        except anyio.get_cancelled_exc_class():  # a task has kept this asyncio.Task, and cancels it now
            if everything_is_cancelled():
                raise

    async def _serve(self, interruption: Interruption) -> None:
        """Run one job after the other, until one was cancelled."""
        ended = clock()
        turn_ends = ended + TURN
        while True:
            if not self._line:
                await self._wait_for_job()
                ended = clock()
                turn_ends = ended + TURN
                continue
            run = self._line.popleft()
            began = run.since = ended
            run.interrupt = interruption.begin
            self._running.add(run)
            try:
                answer = self._begin(run)
                if isinstance(answer, Outcome):
                    outcome = answer
                else:
                    self._wake(HELPERS)
                    outcome = await answer
            except BaseException:  # it is cut off, and the worker may live on: no job stays running without a run
                self._done(cut_short(run.job))
                raise
            finally:
                self._running.discard(run)
            self._done(outcome)
            ended = clock()
            self._learn(ended - began)
            lined_up = len(self._line)
            if not lined_up or (lined_up <= self._refill_below and not self._nudged):
                self._nudged = True
                self._room()
            if run.waited:
                turn_ends = ended + TURN
            felt = interruption.felt()
            if felt or ended > turn_ends:
                await anyio.lowlevel.checkpoint()  # here a cancellation comes out that the job did not wait for
                ended = clock()
                turn_ends = ended + TURN
            if felt:
                return

    def _wake(self, most: int) -> None:
        """Wake runners, while there are idle ones and jobs for them."""
        for _ in range(min(most, len(self._line), len(self._idle))):
            self._idle.popleft().set()

    async def _wait_for_job(self) -> None:
        arrival = anyio.Event()
        self._idle.append(arrival)
        try:
            await arrival.wait()
        finally:
            if not arrival.is_set():
                self._idle.remove(arrival)

    def _learn(self, seconds: float) -> None:
        if self._mean is None:
            self._mean = seconds
        else:
            self._mean += (seconds - self._mean) * MEMORY

    def _ahead(self) -> int:
        if self._mean is None:
            return 0
        return int(min(self._concurrency * HORIZON / max(self._mean, 1e-6), self._most_ahead))
