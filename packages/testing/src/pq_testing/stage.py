"""The stage: the hands of one drain, of which one at a time goes on, as a script says.

A hand is stopped at each of its points: before and after it asks the store, and, in an async job, after each await.
When every hand is stopped, idle, ended, dead, or waits for something real, the script is asked which one goes on, or
dies. So the same script always gives the same order, whatever the event loop does.

A worker that dies leaves its coroutine where it was: frozen, not unwound, since no `finally` runs in a process that is
killed. The tasks that its job has started stop with it. Its lease runs out, and a fresh hand takes its column. Frozen
coroutines are closed by :meth:`Stage.close`, at the end of the test.

A job that waits for something real (a reply, a timer) is not waited for if another hand could go on, but for a moment:
the reply of a store always, any other if the event loop listens to a socket.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Literal, cast

import anyio
import attrs

from pq_core.connector import Connector, WorkerInfo
from pq_core.memory import InMemoryConnector
from pq_core.memory.engine import Engine
from pq_core.worker.run import Run as Execution
from pq_testing.drain import Drain
from pq_testing.errors import DrainError
from pq_testing.frozen import Frozen
from pq_testing.hand import LEASE, NAME, Hand
from pq_testing.parking import AsyncioParking, Driven, Halt, Parking, Place, TrioParking, return_threads, stepped
from pq_testing.script import Action, Cue, Point, Script, Step

State = Literal["running", "parked", "idle", "waiting", "ended", "frozen"]
IDLE = Halt("idle")
REPLY_OF_STORE = 5.0
REPLY = 0.05
"""Seconds that a hand is waited for which itself waits for a socket."""


@attrs.define(eq=False)
class Seat:
    """One hand on the stage, from its entry on."""

    column: int
    hand: Hand
    state: State = "running"
    place: str = "start"
    answer: Any = None
    heard: int = 0
    """How many news there were when it last began to look for work."""
    gate: Place = attrs.field(factory=Place)
    task: Any = None


class Stage:
    """The hands of one drain. It is the director of each of them.

    Args:
        drain: what they work for.
        script: says who goes on.
        workers: how many there are at a time.

    Attributes:
        steps: what has happened, in order.
    """

    def __init__(self, drain: Drain, script: Script, *, workers: int) -> None:
        self.drain = drain
        self.steps: list[Step] = []
        self._script = script
        self.workers = workers
        self._seats: list[Seat] = []
        self._seats_by_task: dict[Any, Seat] = {}
        self._frozen = Frozen()
        self._jobs: dict[Hand, Driven] = {}
        self._pending: list[tuple[Seat, Action]] = []
        self._fault: BaseException | None = None
        self._over = False
        self._news = 0
        self._known = 0
        self._hired = 0
        self._engine = _engine(drain.connector)
        self._parking: Parking = _parking(self._adopt)
        self._bell = anyio.Event()

    async def play(self) -> None:
        """Let the hands live until nothing is due any more.

        Raises:
            DrainError: a hand waits for what will never be.
            BaseException: what a hand, the script or the store has raised.
        """
        async with self._parking.running():
            try:
                for column in range(self.workers):
                    self._enter(column)
                while True:
                    await self._bell.wait()
                    self._bell = anyio.Event()
                    if self._fault is not None:
                        raise self._fault
                    if not self._pending:
                        return
                    await self._lose(*self._pending.pop())
            finally:
                self._lower_curtain()

    def close(self) -> None:
        """Close what is frozen: at the end of the test, since `finally` blocks run now."""
        self._frozen.close()

    async def point(self, hand: Hand, place: str) -> None:
        """Stop here; return when the hand may go on. Never, if its worker dies here."""
        if place == "after finish":
            self._news += 1
        if self._script.stops(hand, place):
            await _halt(Halt(place))

    async def idle(self, hand: Hand) -> bool:  # noqa: ARG002 - the task tells whose it is
        """Wait while nothing is due; return whether there may be something again."""
        return bool(await _halt(IDLE))

    def mind_the_loop(self) -> None:
        """Have what is frozen closed with the event loop, if that ends before the test does."""
        if isinstance(self._parking, AsyncioParking):
            self._frozen.mind_the_loop()

    def drive(self, hand: Hand, execution: Execution, coroutine: Driven) -> Driven:
        """Return the coroutine of a job with a point after each await, if the script stops hands there.

        An async connection of the caller's, in whose transaction the job runs, would never answer again, were the
        coroutine frozen that has its lock.
        """
        shared = self.drain.transaction
        if not self._script.inside_jobs or (shared is not None and shared.is_async):
            return coroutine
        self._jobs[hand] = coroutine
        task = execution.job.task
        return cast("Driven", stepped(coroutine, lambda number: self.point(hand, f"await {number} of {task}")))

    @property
    def mixed(self) -> bool:
        """Whether jobs have started tasks of their own, which go on as they like."""
        return len(self._seats_by_task) > len(self._seats)

    @property
    def may_have_work(self) -> bool:
        """Whether a fetch may give a job now. In memory, it gives none unless a job is ready or due."""
        if self._engine is None:
            return True
        store = self._engine.store
        place = store.scheduled.first()
        return bool(store.ready) or (place is not None and place[0] <= self.drain.harness.clock.now())

    def _enter(self, column: int) -> None:
        self._hired += 1
        own, shared = self.drain.harness.hand_connector, self.drain.connector
        alone = own is not None and shared is self.drain.harness.connector
        hand = Hand(self.drain, self._hired, director=self, connector=own() if own and alone else shared)
        seat = Seat(column, hand)
        self._seats.append(seat)
        seat.task = self._parking.start(partial(self._perform, seat))
        self._seats_by_task[seat.task] = seat

    async def _perform(self, seat: Seat) -> None:
        try:
            await self._drive(seat, seat.hand.live())
        except BaseException as error:  # noqa: BLE001 - play() raises it
            self._fail(error)
        finally:
            if seat.state != "frozen":
                seat.state = "ended"
                self._next()

    @types.coroutine
    def _drive(self, seat: Seat, coroutine: Driven) -> Generator[Any, Any, None]:
        """Drive a hand: stop it where it asks to be stopped, and pass on to the event loop what it waits for."""
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                trap = coroutine.send(answer) if error is None else coroutine.throw(error)
            except StopIteration:
                return
            answer = error = None
            try:
                if type(trap) is Halt:
                    answer = yield from self._stop(seat, trap)
                elif self._parking.is_turn(trap):
                    if self._parking.others_ready():
                        answer = yield trap
                else:
                    seat.state = "waiting"
                    self._next()
                    answer = yield trap
            except BaseException as raised:  # noqa: BLE001 - a cancellation among others; it belongs to the coroutine
                error = raised
            if seat.state == "frozen":
                self._frozen.keep(coroutine)
                return
            seat.state = "running"

    def _stop(self, seat: Seat, halt: Halt) -> Generator[Any, Any, Any]:
        if self._over:
            return False
        seat.place = halt.place
        seat.state = "idle" if halt is IDLE else "parked"
        self._next()
        while seat.state in ("idle", "parked"):
            yield from self._parking.wait(seat.gate)
        return seat.answer

    def _next(self) -> None:
        """Decide what happens next, unless a hand still runs."""
        patience = -1.0
        for seat in self._seats:
            if seat.state == "running":
                return
            if seat.state == "waiting":
                patience = max(patience, REPLY_OF_STORE if seat.place.startswith("before") else REPLY)
        if self._pending or self._over:
            return
        if patience < 0:
            self._decide()
        else:
            self._parking.when_quiet(self._decide, patience)

    def _decide(self) -> None:
        if self._pending or self._over or any(seat.state == "running" for seat in self._seats):
            return
        self._parking.never_mind()
        try:
            points = [Point(seat.column, seat.hand, seat.place) for seat in self._seats if seat.state == "parked"]
            if self._wake_for_news():
                return
            if points:
                points.sort(key=lambda point: point.column)
                self._follow(self._script.cue(points, self))
            else:
                self._come_to_rest()
        except BaseException as error:  # noqa: BLE001 - this runs in a hand, or in the event loop; play() raises it
            self._fail(error)

    def _follow(self, cue: Cue) -> None:
        seat = next(seat for seat in self._seats if seat.hand is cue.point.hand)
        at = self.drain.harness.clock.now()
        self.steps.append(Step(seat.column, seat.hand.number, seat.place, cue.action, at, cue.point.job))
        if cue.action == "go on":
            if seat.place == "before fetch":
                seat.heard = self._news
            self._release(seat)
            return
        if cue.action == "crash":
            seat.state = "frozen"
            self._parking.forget(seat.task)
            self._parking.open(seat.gate)
        self._pending.append((seat, cue.action))
        self._bell.set()

    async def _lose(self, seat: Seat, action: Action) -> None:
        """Let the lease of a worker run out; if it is dead, let a fresh one take its column."""
        if action == "crash":
            self.drain.ends(seat.hand)
            if (terminate := getattr(seat.hand.connector, "terminate", None)) is not None:
                terminate(self._jobs.get(seat.hand))  # PostgreSQL ends its sessions, and rolls back what it had begun
            self._parking.stop_listening(self._jobs.get(seat.hand))
            return_threads([task for task, whose in self._seats_by_task.items() if whose is seat])
            await seat.hand.forsake()
        await seat.hand.expire()
        self._news += 1
        if action == "crash":
            self._enter(seat.column)
        else:  # its next heartbeat makes it known again; its job is not its own any more
            await self.drain.connector.heartbeat(WorkerInfo(id=seat.hand.worker, name=NAME), LEASE)
            self._next()

    def _wake_for_news(self) -> bool:
        """Let idle hands look for work, if there may be some that they do not know of; return whether any does.

        What has happened since a hand began to look is news to it, even if it was not idle yet when that happened.
        """
        if self._engine is not None and self._known != (known := self._engine.store.next_id):
            self._known = known
            self._news += 1
        late = [seat for seat in self._seats if seat.state == "idle" and seat.heard < self._news]
        for seat in late:
            seat.heard = self._news
        return self.may_have_work and self._wake(late, work=True)

    def _wake_idle(self, *, work: bool) -> bool:
        return self._wake([seat for seat in self._seats if seat.state == "idle"], work=work)

    def _wake(self, seats: list[Seat], *, work: bool) -> bool:
        for seat in seats:
            seat.answer = work
            self._release(seat)
        return bool(seats)

    def _come_to_rest(self) -> None:
        """No hand can go on by itself: wait, let time pass, or end."""
        if any(seat.state == "waiting" for seat in self._seats):
            if self._parking.stuck():
                raise DrainError(self._stalled())
        elif not self._wake_idle(work=not self.drain.over and self._jump()):
            self._bell.set()

    def _jump(self) -> bool:
        return any(seat.state == "idle" for seat in self._seats) and self.drain.jump()

    def _release(self, seat: Seat) -> None:
        seat.state = "running"
        self._parking.open(seat.gate)

    def _lower_curtain(self) -> None:
        """Stop nobody any more: hands that live on sign off, as they are cancelled."""
        self._over = True
        for seat in self._seats:
            if seat.state in ("idle", "parked"):
                self._release(seat)

    def _fail(self, error: BaseException) -> None:
        if self._fault is None:
            self._fault = error
        self._over = True
        self._bell.set()

    def _stalled(self) -> str:
        places = [f"worker {seat.column + 1} after {seat.place!r}" for seat in self._seats if seat.state == "waiting"]
        return (
            f"no worker can go on: {', '.join(places)} waits for something that nobody is left to do. A job must not "
            "wait, inside one process, for what another job does: their workers may be two, and one may die."
        )

    def _adopt(self, coroutine: Driven, parent: Any) -> Driven:
        """Bind a task that a job starts to the life of its worker."""
        seat = self._seats_by_task.get(parent)
        return coroutine if seat is None else self._belong(seat, coroutine)

    async def _belong(self, seat: Seat, coroutine: Driven) -> Any:
        self._seats_by_task[asyncio.current_task()] = seat
        return await self._while_alive(seat, coroutine)

    @types.coroutine
    def _while_alive(self, seat: Seat, coroutine: Driven) -> Generator[Any, Any, Any]:
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                trap = coroutine.send(answer) if error is None else coroutine.throw(error)
            except StopIteration as end:
                return end.value
            answer = error = None
            try:
                answer = yield trap
            except BaseException as raised:  # noqa: BLE001 - as above
                error = raised
            if seat.state == "frozen":
                self._frozen.keep(coroutine)
                return None


@types.coroutine
def _halt(halt: Halt) -> Generator[Halt, Any, Any]:
    return (yield halt)


def _parking(adopt: Callable[[Driven, Any], Driven]) -> Parking:
    asyncio_runs = anyio.get_cancelled_exc_class() is asyncio.CancelledError
    return AsyncioParking(adopt) if asyncio_runs else TrioParking()


def _engine(connector: Connector) -> Engine | None:
    """Return what a connector in memory keeps its jobs in, if its fetch is the usual one: a look costs nothing then.

    Of a subclass with a fetch of its own, which may be broken on purpose, nothing is known beforehand.
    """
    if isinstance(connector, InMemoryConnector) and type(connector).fetch is InMemoryConnector.fetch:
        return connector._engine  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return None
