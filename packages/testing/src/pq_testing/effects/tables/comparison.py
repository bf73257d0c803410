"""What is different between two readings of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs

from pq_testing.effects.camera import take
from pq_testing.effects.change import Change
from pq_testing.effects.difference import counted, differences
from pq_testing.effects.picture import Parts, Picture
from pq_testing.effects.tables.reading import Table


def table_changes(name: str, before: Table, after: Table) -> Iterator[Change]:
    """Yield the changes of rows: in the order of their keys, or, without a key, of their texts."""
    if before.read == after.read and before.rows == after.rows:
        return
    if before.key and before.key == after.key and set(before.key) <= set(before.read) & set(after.read):
        yield from _by_key(name, before, after)
    else:
        yield from _as_heap(name, before, after)


def _by_key(name: str, before: Table, after: Table) -> Iterator[Change]:
    left, right = _keyed(name, before), _keyed(name, after)
    for text in _in_order(left | right):
        old, new = left.get(text), right.get(text)
        if old is None and new is not None:
            yield counted(name, _whole(name, after, new.values), 1, "row")
        elif new is None and old is not None:
            yield counted(name, _whole(name, before, old.values), -1, "row")
        elif old is not None and new is not None and (old.values != new.values or before.read != after.read):
            yield from differences(f"{name}[{text}]", _row(name, before, old.values), _row(name, after, new.values))


def _as_heap(name: str, before: Table, after: Table) -> Iterator[Change]:
    left, right = Counter(map(_hashable, before.rows)), Counter(map(_hashable, after.rows))
    if before.read == after.read:
        left, right = left - right, right - left
    counts = Counter[str]()
    rows: dict[str, Picture] = {}
    for table, heap, sign in ((before, left, -1), (after, right, 1)):
        for values in table.rows:
            key = _hashable(values)
            if count := heap.pop(key, 0):
                row = _whole(name, table, values)
                text = repr(row)
                rows[text] = row
                counts[text] += sign * count
    for text in sorted(rows):
        if counts[text]:
            yield counted(name, rows[text], counts[text], "row")


@attrs.frozen
class _Keyed:
    key: tuple[Any, ...]
    values: Sequence[Any]


def _keyed(name: str, table: Table) -> dict[str, _Keyed]:
    places = [table.read.index(column) for column in table.key]
    keyed: dict[str, _Keyed] = {}
    for values in table.rows:
        key = tuple(values[place] for place in places)
        keyed[", ".join(_key_text(name, each) for each in key)] = _Keyed(key, values)
    return keyed


def _in_order(keyed: dict[str, _Keyed]) -> list[str]:
    try:
        return sorted(keyed, key=lambda text: keyed[text].key)
    except TypeError:  # keys of types that have no order
        return sorted(keyed)


def _key_text(name: str, value: Any) -> str:
    if isinstance(value, (int, str)):
        return repr(value)
    return str(value) if isinstance(value, (UUID, date, Decimal)) else str(take(value, name))


def _row(name: str, table: Table, values: Sequence[Any]) -> Parts:
    return Parts("object", name, {f".{column}": take(value, name) for column, value in _cells(table, values)})


def _whole(name: str, table: Table, values: Sequence[Any]) -> Parts:
    parts = {f"[{column!r}]": take(value, name) for column, value in _cells(table, values)}
    return Parts("dict", "dict", parts, {f"[{column!r}]": column for column in table.read})


def _cells(table: Table, values: Sequence[Any]) -> Iterable[tuple[str, Any]]:
    return zip(table.read, values, strict=False)  # a row of which every column is ignored holds a number instead


def _hashable(values: Sequence[Any]) -> Hashable:
    row = tuple(values)
    try:
        hash(row)
    except TypeError:
        return repr(row)
    return row
