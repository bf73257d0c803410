"""Reading tables as a conversation: what is asked, and what was answered. Who asks is the runner's business."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import Any

import attrs

from pq_testing.effects.change import MOST_LINES
from pq_testing.effects.errors import TableNotFound, TooMuchToWatch
from pq_testing.effects.tables.table_name import TableName, quote


@attrs.frozen
class Query:
    """A statement that reads. If it has parameters, ``%s`` stands for each, and a percent sign is doubled."""

    text: str
    parameters: Sequence[Any] | None = None


Rows = Sequence[Sequence[Any]]


@attrs.frozen
class Table:
    """What was read of one table.

    Attributes:
        columns: all that it has.
        key: those of the primary key; empty: nothing but what they hold tells rows apart.
        read: the columns that `rows` have: all but the ignored ones.
        rows: none if only the structure was asked for.
    """

    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    rows: Rows = ()


Conversation = Generator[Query, Rows, dict[str, Table]]


@attrs.frozen
class Request:
    """What is to be read.

    Attributes:
        names: of the tables.
        ignored: names of columns, per table as it was given.
        most: rows of one table at most; 0: the structure only.
    """

    names: tuple[TableName, ...]
    ignored: dict[str, Collection[str]]
    most: int

    def columns_of(self, name: TableName, columns: Sequence[str]) -> tuple[str, ...]:
        """Return the columns that count."""
        return tuple(column for column in columns if column not in self.ignored.get(name.given, ()))

    def check(self, name: TableName, rows: Rows) -> Rows:
        """Return the rows, unless they are too many.

        Raises:
            TooMuchToWatch: they are.
        """
        if len(rows) > self.most:
            raise TooMuchToWatch(
                f"{name.given} has more than {self.most:,} rows, and they are all read before and after each job: "
                f"test with less data; or watch what matters of it with watch(lambda: ..., name={name.given!r}), a "
                "function that asks the database; or allow more with watch_tables(..., most_rows=...)."
            )
        return rows


def not_found(name: TableName, there: Sequence[str]) -> TableNotFound:
    """Return the error for a table that is not there."""
    tables = ", ".join(there[:MOST_LINES]) + (f" and {len(there) - MOST_LINES} more" if len(there) > MOST_LINES else "")
    return TableNotFound(
        f"there is no table {name.given}, as this connection sees it; there "
        + (f"are: {tables}." if there else "are none: is it a connection to the right database?")
    )


def select(table: str, columns: Sequence[str], most: int) -> Query:
    """Return the query for the rows of a table, one more than may be."""
    what = ", ".join(map(quote, columns)) or "1"
    return Query(f"select {what} from {table} limit {most + 1}")  # noqa: S608 - names are quoted


def written(*names: str) -> str:
    """Return a name as SQL text, with quotes only where SQL needs them."""
    return ".".join(name if name.isidentifier() and name == name.lower() else quote(name) for name in names)
