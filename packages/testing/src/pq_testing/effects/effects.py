"""`pq_effects`: what a test wants watched, and what changed of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from inspect import currentframe
from types import FrameType
from typing import Any

import attrs

from pq_testing.effects.change import Change
from pq_testing.effects.ignoring import check_name
from pq_testing.effects.names import name_of
from pq_testing.effects.picture import Picture
from pq_testing.effects.tables.reading import Table
from pq_testing.effects.tables.watched_tables import WatchedTables
from pq_testing.effects.watched_object import WatchedObject

MOST_ROWS = 10_000
"""Rows of one table that are read and compared one by one, by default."""


@attrs.frozen(eq=False)
class Snapshot:
    """What was watched, as it was at one moment. Only :meth:`Effects.changes_since` reads it.

    .. versionadded:: 0.1
    """

    objects: tuple[tuple[WatchedObject, Picture], ...]
    tables: tuple[tuple[WatchedTables, dict[str, Table]], ...]


class Effects:
    """Watches tables and objects, and tells what changed.

    A test says what its jobs have an effect on; under ``redeliver``, what the second run of a job changes fails the
    test. It can be used by itself, too: take a :meth:`snapshot`, do something, and assert on :meth:`changes_since`.

    .. versionadded:: 0.1
    """

    def __init__(self) -> None:
        self._objects: list[WatchedObject] = []
        self._tables: list[WatchedTables] = []
        self._jobs = False

    def watch_tables(
        self, *tables: str, connection: Any, ignore: Iterable[str] = (), most_rows: int = MOST_ROWS
    ) -> None:
        """Watch the rows of tables.

        A row is told from others by its primary key; those of a table without one (or whose key is ignored), and of a
        view, only by what they hold. Reading leaves the connection as it was: it begins no transaction that stays open,
        commits nothing, and in an open one works inside of a savepoint that it rolls back.

        Args:
            tables: names as in SQL: ``"orders"``, ``"shop.orders"``, ``'"Order Lines"'``.
            connection: sees what the jobs do. One of psycopg, of either colour; an Engine, Connection or Session of
                SQLAlchemy, of either colour; ``django.db.connection``; or one of another DB-API driver, such as
                sqlite3. One with an open transaction sees what was committed since only at READ COMMITTED. An async
                one is read with :meth:`snapshot_async`, so by jobs that ``run_jobs.run_async()`` runs.
            ignore: columns that do not count: ``"orders.updated_at"``, or ``"*.updated_at"`` for that of every table.
            most_rows: of one table. They are read four times for each job that is redelivered: 35 ms for
                10,000 rows of ten columns.

        Raises:
            CannotRead: the database refused.
            CannotWatch: a connection of an unknown kind.
            ColumnNotFound: `ignore` names no column of these tables.
            InvalidOption: a value that cannot be.
            TableNotFound: a table is not there.
        """
        self._tables.append(WatchedTables.make(tables, connection, ignore, most_rows))

    def watch(self, target: Any, name: str | None = None, *, ignore: Iterable[str] = ()) -> None:
        """Watch an object: what it holds, as deep as it goes.

        Lists, dicts, sets and deques; instances of any class, by their attributes (no property, no ``__eq__`` of
        theirs is called); a class or module, by its variables; a mock of unittest, by its calls; a function without
        arguments, by what it returns.

        Args:
            target: the object. It is looked at through this reference: a variable that is given another value later is
                watched by a function, ``watch(lambda: total, name="total")``.
            name: what paths begin with; by default the variable, or attribute of one, that holds the object.
            ignore: paths below it that do not count; a star stands for anything: ``"updated_at"``, ``"calls[*].at"``.

        Raises:
            CannotWatch: it cannot change, does not show what it is made of, or is a function that wants arguments.
            InvalidOption: a value that cannot be.
            TooMuchToWatch: it holds more than can be compared.
        """
        if name is None:
            name = name_of(target, _caller())
        self._objects.append(WatchedObject.make(target, self._unused(check_name(name)), ignore))

    def watch_jobs(self) -> None:
        """Count it as an effect, under ``redeliver``, if the second run of a job defers jobs again."""
        self._jobs = True

    @property
    def watches_jobs(self) -> bool:
        """Whether :meth:`watch_jobs` was called."""
        return self._jobs

    @property
    def watching(self) -> bool:
        """Whether there is anything to compare."""
        return bool(self._objects or self._tables)

    def snapshot(self) -> Snapshot:
        """Look at everything that is watched.

        Raises:
            CannotRead: a database or a watched function refused, or has to be awaited.
            TableNotFound: a table is gone.
            TooMuchToWatch: a table has too many rows, or an object too many parts.
        """
        return Snapshot(
            tuple((watched, watched.look()) for watched in self._objects),
            tuple((watched, watched.look()) for watched in self._tables),
        )

    async def snapshot_async(self) -> Snapshot:
        """Do what :meth:`snapshot` does, also through async connections and async functions."""
        return Snapshot(
            tuple([(watched, await watched.look_async()) for watched in self._objects]),
            tuple([(watched, await watched.look_async()) for watched in self._tables]),
        )

    def changes_since(self, snapshot: Snapshot) -> list[Change]:
        """Return what changed since a snapshot: tables first, in the order in which they were watched, then objects.

        What is watched only since then does not count.

        Raises:
            CannotRead, TableNotFound, TooMuchToWatch: see :meth:`snapshot`.
        """
        return list(changes_between(snapshot, self.snapshot()))

    async def changes_since_async(self, snapshot: Snapshot) -> list[Change]:
        """Do what :meth:`changes_since` does, also through async connections and async functions."""
        return list(changes_between(snapshot, await self.snapshot_async()))

    def reset(self) -> None:
        """Watch nothing any more."""
        self._objects.clear()
        self._tables.clear()
        self._jobs = False

    def _unused(self, name: str) -> str:
        names = {watched.name for watched in self._objects}
        candidates = (f"{name} ({count})" if count > 1 else name for count in range(1, len(names) + 2))
        return next(candidate for candidate in candidates if candidate not in names)


def _caller() -> FrameType | None:
    """Return the frame of the test, two above this one."""
    frame = currentframe()
    for _ in range(2):
        frame = None if frame is None else frame.f_back
    return frame


def changes_between(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    """Yield what is different between two snapshots, of what both hold."""
    earlier_tables, earlier_objects = dict(before.tables), dict(before.objects)
    for tables, rows in after.tables:
        if tables in earlier_tables:
            yield from tables.changes(earlier_tables[tables], rows)
    for target, picture in after.objects:
        if target in earlier_objects:
            yield from target.changes(earlier_objects[target], picture)
