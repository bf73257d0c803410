"""How tables of SQLite are read, through Python's sqlite3."""

from __future__ import annotations

from collections.abc import Generator

from pq_testing.effects.tables.reading import Conversation, Query, Request, Rows, Table, not_found, select, written
from pq_testing.effects.tables.table_name import quote


def conversation(request: Request) -> Conversation:
    """Ask for tables. A statement that only reads begins no transaction here, and if it fails, breaks none.

    Raises:
        TableNotFound: one is not there.
        TooMuchToWatch: one has too many rows.
    """
    tables: dict[str, Table] = {}
    for name in request.names:
        place = quote(name.table.text)
        within = "" if name.schema is None else f"{quote(name.schema.text)}."
        structure = yield Query(f"pragma {within}table_xinfo({place})")
        if not structure:
            raise not_found(name, (yield from _there()))
        columns = [column for _, column, *_ in structure]
        key = sorted((position, column) for _, column, _, _, _, position, *_ in structure if position)
        read = request.columns_of(name, columns)
        rows = request.check(name, (yield select(within + place, read, request.most))) if request.most else ()
        tables[name.given] = Table(tuple(columns), tuple(column for _, column in key), read, rows)
    return tables


def _there() -> Generator[Query, Rows, list[str]]:
    there: list[str] = []
    for _, schema, *_ in (yield Query("pragma database_list")):
        master = "sqlite_temp_master" if schema == "temp" else f"{quote(schema)}.sqlite_master"
        names = yield Query(
            f"select name from {master} where type in ('table', 'view') and name not like 'sqlite\\_%' escape '\\' "  # noqa: S608 - quoted
            "order by name"
        )
        there += [written(name) if schema in ("main", "temp") else written(schema, name) for (name,) in names]
    return there
