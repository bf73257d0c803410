"""How tables of PostgreSQL are read, by whatever driver."""

from __future__ import annotations

from pq_testing.effects.tables.reading import Conversation, Query, Request, Table, not_found, select, written
from pq_testing.effects.tables.table_name import quote

LOCK_TIMEOUT = "set local lock_timeout = '5s'"
"""A table that another transaction is altering is an error, not a test that hangs. It goes with the savepoint."""

STRUCTURE = """
select quote_ident(namespace.nspname) || '.' || quote_ident(class.relname),
       array(
         select attname::text from pg_catalog.pg_attribute
         where attrelid = class.oid and attnum > 0 and not attisdropped order by attnum
       ),
       array(
         select attribute.attname::text
         from pg_catalog.pg_index index,
              unnest(index.indkey::int2[]) with ordinality part (number, place),
              pg_catalog.pg_attribute attribute
         where index.indrelid = class.oid and index.indisprimary
           and attribute.attrelid = class.oid and attribute.attnum = part.number
         order by part.place
       )
from unnest(%s::text[]) with ordinality given (name, place)
left join pg_catalog.pg_class class
  on class.oid = to_regclass(given.name) and class.relkind in ('r', 'p', 'v', 'm', 'f')
left join pg_catalog.pg_namespace namespace on namespace.oid = class.relnamespace
order by given.place
"""

TABLES = """
select case when pg_catalog.pg_table_is_visible(class.oid) then '' else namespace.nspname::text end, class.relname::text
from pg_catalog.pg_class class
join pg_catalog.pg_namespace namespace on namespace.oid = class.relnamespace
where class.relkind in ('r', 'p', 'v', 'm', 'f')
  and not class.relispartition
  and namespace.nspname not in ('pg_catalog', 'information_schema')
  and namespace.nspname not like 'pg\\_toast%'
order by 1, 2
"""


def conversation(request: Request) -> Conversation:
    """Ask for tables; to be run in a transaction, or savepoint, that is rolled back.

    Raises:
        TableNotFound: one is not there.
        TooMuchToWatch: one has too many rows.
    """
    yield Query(LOCK_TIMEOUT)
    wanted = [
        ".".join(quote(part.folded()) for part in (name.schema, name.table) if part is not None)
        for name in request.names
    ]
    structure = yield Query(STRUCTURE, [wanted])
    tables: dict[str, Table] = {}
    for name, (place, columns, key) in zip(request.names, structure, strict=True):
        if place is None:
            there = yield Query(TABLES)
            raise not_found(name, [written(*filter(None, names)) for names in there])
        read = request.columns_of(name, columns)
        rows = request.check(name, (yield select(place, read, request.most))) if request.most else ()
        tables[name.given] = Table(tuple(columns), tuple(key), read, rows)
    return tables
