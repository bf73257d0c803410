"""Install and upgrade the schema: migrations by number, forward only, and functions, created anew when they changed.

What to run is decided here, without running it: :func:`upgrade` yields statements and is sent their rows, and each
colour of connector drives it. Ten processes may do so at once; an advisory lock lets one after the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable
from functools import cache
from importlib import resources
from typing import Any, TypeAlias, TypeVar

import attrs

from pq_core.answers import SchemaStatus
from pq_core.errors import InvalidOption, SchemaMissing, SchemaTooNew
from pq_core.given import as_option
from pq_core.job import check_name
from pq_core.postgres.statements import quote

T = TypeVar("T")
Step = tuple[str, tuple[Any, ...]]
Conversation: TypeAlias = Generator[Step, list[tuple[Any, ...]], T]
"""Yields what to run, is sent the rows, and returns what it found."""

ATTEMPTS = 12
"""How often an upgrade that did not get its locks within five seconds is tried."""

PARTITIONS_AHEAD = "select prune(null)"
"""Makes the partitions of today and the next days, so that the first job to end need not."""

_MAX_IDENTIFIER = 63
_INSTALLED = "select to_regclass(%s) is not null"


@attrs.frozen
class File:
    """One file of SQL: a migration with its number, or a function (number 0)."""

    name: str
    number: int
    text: str

    @property
    def hash(self) -> str:
        """What tells one text from another."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


@cache
def migrations() -> tuple[File, ...]:
    """Return the migrations of this version, in order."""
    return tuple(File(name, int(name.split("_", 1)[0]), text) for name, text in _read("migrations"))


@cache
def functions() -> tuple[File, ...]:
    """Return the functions of this version, in order of name."""
    return tuple(File(name, 0, text) for name, text in _read("functions"))


def check_schema_name(schema: str) -> str:
    """Return `schema` if PostgreSQL takes it as a name.

    Raises:
        InvalidOption: it does not.
    """
    with as_option():
        name = check_name("schema", schema)
    if len(name.encode()) > _MAX_IDENTIFIER:
        msg = f"schema {name!r} is not a name of 1 to {_MAX_IDENTIFIER} bytes"
        raise InvalidOption(msg)
    if name.startswith("pg_"):
        msg = f"schema {name!r}: PostgreSQL keeps names that begin with pg_ for itself"
        raise InvalidOption(msg)
    return name


def search_path(schema: str) -> str:
    """Return where the functions of a schema look names up.

    Temporary tables come last, or one named jobs would be taken for pq's. That they come twice, which nobody writes by
    hand, tells the trigger `edited` that a function of pq is at work. (In a setting of its own, only a superuser may
    say so of a function.)
    """
    return f"{quote(schema)}, pg_temp, pg_temp"


def upgrade(schema: str) -> Conversation[list[str]]:
    """Bring the schema up to date inside the transaction of the caller; return the names of what was applied."""
    yield "set local lock_timeout = '5s'", ()
    yield "set local client_min_messages = warning", ()
    yield "select pg_advisory_xact_lock(hashtextextended(%s, 20260101))", (f"pq migrate {schema}",)
    ((exists,),) = yield "select exists (select from pg_namespace where nspname = %s)", (schema,)
    if not exists:
        yield f"create schema {quote(schema)}", ()
    yield f"set local search_path = {search_path(schema)}", ()
    status = yield from _status(schema)
    applied = [*status.missing, *status.outdated]
    for migration in migrations():
        if migration.name in status.missing:
            yield migration.text, ()
            yield "insert into migrations (version, name) values (%s, %s)", (migration.number, migration.name)
    outdated = [function for function in functions() if not status.version or function.name in status.outdated]
    for function in outdated:
        yield function.text, ()
        yield (
            "insert into functions (name, hash) values (%s, %s) on conflict (name) do update set hash = excluded.hash",
            (function.name, function.hash),
        )
    if outdated:
        yield f"revoke execute on all functions in schema {quote(schema)} from public", ()
        yield PARTITIONS_AHEAD, ()
    return applied


def status(schema: str) -> Conversation[SchemaStatus]:
    """Find out what is installed; changes nothing.

    Raises:
        SchemaMissing: pq is not installed there.
        SchemaTooNew: a later version of pq has migrated it.
    """
    found = yield from _status(schema)
    if not found.version:
        msg = f"pq is not installed in schema {schema!r}; run `pq schema apply`, or app.migrate()"
        raise SchemaMissing(msg)
    return found


def script(schema: str) -> str:
    """Return all of it as SQL for psql or another tool: what is there already is left alone, so it may be run again."""
    name = quote(schema)
    parts = [
        "begin;",
        "set local client_min_messages = warning;",
        f"select pg_advisory_xact_lock(hashtextextended({_literal(f'pq migrate {schema}')}, 20260101));",
        f"create schema if not exists {name};",
        f"set local search_path = {search_path(schema)};",
    ]
    for migration in migrations():
        guard = "to_regclass('migrations') is null" if migration.number == 1 else _absent(migration)
        values = f"({migration.number}, {_literal(migration.name)})"
        parts += [
            f"\n-- migrations/{migration.name}",
            f"do $pq_guard$ begin if {guard} then execute $pq_migration$\n{migration.text}$pq_migration$;",
            f"insert into migrations (version, name) values {values}; end if; end $pq_guard$;",  # noqa: S608 - quoted
        ]
    for function in functions():
        values = f"({_literal(function.name)}, {_literal(function.hash)})"
        parts += [
            f"\n-- functions/{function.name}",
            function.text.rstrip(),
            f"insert into functions (name, hash) values {values}",  # noqa: S608 - quoted
            "    on conflict (name) do update set hash = excluded.hash;",
        ]
    parts += [f"\nrevoke execute on all functions in schema {name} from public;", f"{PARTITIONS_AHEAD};", "commit;", ""]
    return "\n".join(parts)


def _status(schema: str) -> Conversation[SchemaStatus]:
    ((installed,),) = yield _INSTALLED, (f"{quote(schema)}.migrations",)
    applied: set[int] = set()
    hashes: dict[str, str] = {}
    if installed:
        rows = yield f"select version from {quote(schema)}.migrations", ()  # noqa: S608 - quoted
        applied = {version for (version,) in rows}
        rows = yield f"select name, hash from {quote(schema)}.functions", ()  # noqa: S608 - quoted
        hashes = dict(rows)
    version = max(applied, default=0)
    newest = migrations()[-1].number
    if version > newest:
        msg = (
            f"schema {schema!r} is at version {version}, and this pq knows versions up to {newest} only; "
            "upgrade pq-core here, or point it to another schema"
        )
        raise SchemaTooNew(msg)
    return SchemaStatus(
        version=version,
        missing=[migration.name for migration in migrations() if migration.number not in applied],
        outdated=[function.name for function in functions() if hashes.get(function.name) != function.hash],
    )


def _absent(migration: File) -> str:
    return f"not exists (select from migrations where version = {migration.number})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _read(folder: str) -> Iterable[tuple[str, str]]:
    files = resources.files("pq_core.postgres").joinpath(folder).iterdir()
    sql = sorted((file for file in files if file.name.endswith(".sql")), key=lambda file: file.name)
    return [(file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in sql]
