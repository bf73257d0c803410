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
from pq_core.postgres.floors import Floors
from pq_core.postgres.jobs import with_terms
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

    @abstractmethod
    def _check_usable(self) -> None:
        """Refuse to be used where, or when, that cannot be."""

    @abstractmethod
    async def _run_on(self, connection: psycopg.AsyncConnection, statement: Statement[T]) -> T:
        """Run a statement on this connection."""

    async def fetch(
        self, worker: int, queues: Sequence[str] | None, limit: int, *, now: datetime | None = None
    ) -> Fetched:
        names = check_queues(queues)
        if now is not None or self._link.clock is not None or not self._news.listening:
            heard = self._news.unsure(names) if self._news.listening else None
            return await self._run(self._link.statements.fetch(worker, queues, limit, now, heard=heard))
        told = self._news.named(names, limit)
        if told:
            # Who is told of a few jobs, and knows that there are no others, is spared the search; it looks after it.
            ids = sorted({id_ for notice in told for id_ in notice.ids})
            jobs, left = await self._ask(self._link.statements.claim(worker, queues, ids))
            if jobs:
                self._news.won()
            again = bool(jobs) or left or not self._news.lost(names, told)
            next_in = self._due[names] - monotonic() if names in self._due else None
            return Fetched(jobs=jobs, again=again, next_in=next_in)
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
