"""The verbs of workers, through a connection that listens if there is one."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from time import monotonic
from typing import TypeVar

import attrs
import psycopg

from pq_core.answers import Fetched
from pq_core.errors import ConnectorError
from pq_core.given import check_queues
from pq_core.hearing import Room
from pq_core.postgres.claims import Claim
from pq_core.postgres.faults import translate
from pq_core.postgres.floors import Floors
from pq_core.postgres.jobs import read_named, with_terms
from pq_core.postgres.news import News, Queues
from pq_core.postgres.notices import TAKEN
from pq_core.postgres.statements import Statement
from pq_core.postgres.verbs import Verbs

T = TypeVar("T")


class WorkerVerbs(Verbs):
    """What a connector remembers while it listens, and what it spares the database by that."""

    def __init__(self) -> None:
        self._errands: set[asyncio.Task[None]] = set()
        self._news = News(restarted=[self._forget_floors])
        self._floors: defaultdict[Queues, Floors] = defaultdict(Floors)
        self._due: dict[Queues, float] = {}
        self._claims: dict[int, Claim] = {}

    @abstractmethod
    def _check_usable(self) -> None:
        """Refuse to be used where, or when, that cannot be."""

    @abstractmethod
    async def _run_on(self, connection: psycopg.AsyncConnection, statement: Statement[T]) -> T:
        """Run a statement on this connection."""

    async def fetch(
        self, worker: int, queues: Sequence[str] | None, limit: int, *, now: datetime | None = None
    ) -> Fetched:
        self._check_usable()
        names = check_queues(queues)
        claim = self._claims.pop(worker, None)
        if claim is None and self._heeds_news and now is None:
            claim = self._claim_told(names, Room(worker, limit))
        if claim is not None:
            return await self._claimed(worker, names, claim)
        if now is not None or not self._heeds_news:
            heard = self._news.unsure(names) if self._news.listening else None
            return await self._run(self._link.statements.fetch(worker, queues, limit, now, heard=heard))
        look = self._news.begin(names)
        fetched = await self._fetch(worker, names, limit, look.unsure)
        empty = len(fetched.jobs) < limit and not fetched.again and not fetched.solo
        self._news.end(names, look, empty=empty)
        self._due.pop(names, None)
        if fetched.next_in is not None:
            self._due[names] = monotonic() + fetched.next_in
        if empty and (settled := self._news.settled(names, look)):
            errand = asyncio.get_running_loop().create_task(self._call_off(settled), name="pq calls others off")
            self._errands.add(errand)
            errand.add_done_callback(self._errands.discard)
        return fetched

    @property
    def _heeds_news(self) -> bool:
        """Whether what it hears says what there is; a clock of its own may tell another time than who tells."""
        return self._news.listening and self._link.clock is None

    def _claim_told(self, queues: Queues, room: Room) -> Claim | None:
        """Claim what a worker was told of, if that is a few jobs, and it knows that there are no others."""
        line = next((line for line in self._news.lines if line.asks), None)
        told = self._news.named(queues, room.jobs)
        return Claim.send(line, room.worker, queues, told) if told and line is not None else None

    async def _claimed(self, worker: int, queues: Queues, claim: Claim) -> Fetched:
        """Return what was claimed for a worker. It is spared the search before its jobs, and looks after them."""
        try:
            jobs, left = read_named(await claim.answer, worker)
        except psycopg.Error as fault:
            raise translate(fault, self._link.schema) from fault
        if jobs:
            self._news.won()
        again = bool(jobs) or left or not self._news.lost(queues, claim.told)
        next_in = self._due[queues] - monotonic() if queues in self._due else None
        return Fetched(jobs=jobs, again=again, next_in=next_in)

    def _claim_ahead(self, queues: Queues, room: Room) -> None:
        """Claim for a worker that is about to fetch, and is answered with that."""
        if self._heeds_news and room.worker not in self._claims:
            claim = self._claim_told(queues, room)
            if claim is not None:
                self._claims[room.worker] = claim

    async def _call_off(self, settled: Sequence[tuple[str, int]]) -> None:
        """Tell other workers that they need not come for what they were told of."""
        with suppress(ConnectorError):  # then they come
            for queue, transaction in settled:
                await self._ask(self._link.statements.notify(f"{TAKEN}{transaction}:{queue}"))

    async def _fetch(self, worker: int, queues: Queues, limit: int, heard: Sequence[str]) -> Fetched:
        """Fetch while news is heard: from where the last one has ended, if that is worth it."""
        floors = self._floors[queues]
        question = floors.ask(queues)
        start = None if question is None else question.parameters
        statement = self._link.statements.fetch(worker, queues, limit, None, start, heard=heard)
        try:
            fetched, terms = await self._ask(
                Statement(statement.text, statement.parameters, with_terms(statement.read))
            )
        except BaseException:
            floors.drop(question)
            raise
        if question is None:
            floors.judge(int(terms), len(fetched.jobs))
            return fetched
        wait = floors.learn(question, terms, fetched.jobs)
        if wait is None:
            return fetched
        if wait == 0:
            return attrs.evolve(fetched, again=True)
        return attrs.evolve(fetched, next_in=wait if fetched.next_in is None else min(wait, fetched.next_in))

    def _forget_floors(self) -> None:
        self._floors.clear()

    async def _ask(self, statement: Statement[T]) -> T:
        """Run a statement where news has come from, if that is free: the session is awake, and knows it."""
        self._check_usable()
        line = next((line for line in self._news.lines if line.free), None)
        if line is None:
            return await self._run(statement)
        connection = line.lend()
        try:
            connection.prepare_threshold = 0 if self._link.preparing else None
            return await self._run_on(connection, statement)
        finally:
            line.take_back()
