"""Some tables, read through one connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from pq_core.errors import InvalidOption, shown
from pq_testing.effects.change import Change
from pq_testing.effects.errors import CannotRead, ColumnNotFound
from pq_testing.effects.ignoring import texts
from pq_testing.effects.tables.comparison import table_changes
from pq_testing.effects.tables.connections import reader_for
from pq_testing.effects.tables.drivers import Reader, faults_told
from pq_testing.effects.tables.reading import Request, Table
from pq_testing.effects.tables.table_name import Part, TableName, split

Tables = dict[str, Table]


@attrs.define(eq=False)
class WatchedTables:
    """Tables, and how they are read.

    Attributes:
        names: of the tables.
        reader: reads them.
        ignore: columns, as the user wrote them.
        most_rows: of one table.
    """

    names: tuple[TableName, ...]
    reader: Reader
    ignore: tuple[str, ...]
    most_rows: int
    _ignored: dict[str, frozenset[str]] | None = attrs.field(init=False, default=None)

    @classmethod
    def make(cls, tables: Iterable[object], connection: object, ignore: object, most_rows: object) -> WatchedTables:
        """Check what the user gave; with a connection that need not be awaited, against the database, too.

        Raises:
            CannotWatch: a connection of an unknown kind.
            CannotRead, ColumnNotFound, TableNotFound: see :meth:`look`.
            InvalidOption: no table, a text that names none, or another value that cannot be.
        """
        names = tuple(dict.fromkeys(TableName.parse(table) for table in tables))
        if not names:
            raise InvalidOption("watch_tables() was given no table; name them: watch_tables('orders', connection=...)")
        if not isinstance(most_rows, int) or isinstance(most_rows, bool) or most_rows < 1:
            raise InvalidOption(f"most_rows {shown(most_rows)} is not a whole number from 1")
        watched = cls(names, reader_for(connection), tuple(texts(ignore)), most_rows)
        if not watched.reader.is_async:
            with faults_told(watched.what):
                watched._resolve(watched.reader.read(watched._structure()))
        return watched

    @property
    def what(self) -> str:
        """The tables, for messages."""
        return ", ".join(name.given for name in self.names)

    def look(self) -> Tables:
        """Return what the tables hold.

        Raises:
            CannotRead: the database refused, or the connection has to be awaited.
            ColumnNotFound: `ignore=` names a column that there is not.
            TableNotFound: a table is not there.
            TooMuchToWatch: a table has too many rows.
        """
        if self.reader.is_async:
            raise CannotRead(
                f"{self.what} are watched through an async connection, which a sync call cannot use: await "
                "snapshot_async() and changes_since_async(), or give watch_tables() a sync connection."
            )
        with faults_told(self.what):
            return self.reader.read(self._request())

    async def look_async(self) -> Tables:
        """Do what :meth:`look` does, through a connection of either colour."""
        with faults_told(self.what):
            if self._ignored is None:
                self._resolve(await self.reader.read_async(self._structure()))
            return await self.reader.read_async(self._request())

    def changes(self, before: Tables, after: Tables) -> Iterator[Change]:
        """Yield what is different, table by table in the order given."""
        for name in self.names:
            yield from table_changes(name.given, before[name.given], after[name.given])

    def _structure(self) -> Request:
        return Request(self.names, {}, 0)

    def _request(self) -> Request:
        return Request(self.names, dict(self._ignored or {}), self.most_rows)

    def _resolve(self, tables: Tables) -> None:
        ignored: dict[str, set[str]] = {name.given: set() for name in self.names}
        for text in self.ignore:
            for table, column in self._columns(text, tables):
                ignored[table].add(column)
        self._ignored = {table: frozenset(columns) for table, columns in ignored.items()}

    def _columns(self, text: str, tables: Tables) -> list[tuple[str, str]]:
        """Return the (table, column) pairs that one entry of `ignore=` names.

        Raises:
            ColumnNotFound: there are none.
        """
        parts = split(text)
        if parts is None:
            raise InvalidOption(f"ignore {shown(text)} is not the name of a column such as 'orders.updated_at'")
        *of, column = parts
        everywhere = not of or of == [Part("*", quoted=False)]
        meant = [name.given for name in self.names if everywhere or name.fits(of)]
        found = [(table, each) for table in meant for each in tables[table].columns if column.fits(each)]
        if found:
            return found
        if not meant:
            raise ColumnNotFound(
                f"ignore= names {text}, but no such table is watched here; these are: {self.what}. A column of all of "
                f"them is written '*.{column.text}'."
            )
        there = "; ".join(f"{table} has {', '.join(tables[table].columns)}" for table in meant)
        raise ColumnNotFound(f"ignore= names {text}, and there is no such column: {there}.")
