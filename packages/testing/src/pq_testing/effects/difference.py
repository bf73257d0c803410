"""What is different between two pictures, as changes with paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from typing import Literal

from pq_testing.effects.change import Change
from pq_testing.effects.picture import Heap, Parts, Picture, Row

ABSENT = "absent"


def differences(path: str, before: Picture, after: Picture) -> Iterator[Change]:
    """Yield the changes that make `after` out of `before`, at the deepest path that says it all."""
    if before == after:
        return
    if isinstance(before, Parts) and isinstance(after, Parts) and before.name == after.name:
        yield from _of_parts(path, before, after)
    elif isinstance(before, Row) and isinstance(after, Row) and before.brackets == after.brackets:
        yield from _of_rows(path, before, after)
    elif isinstance(before, Heap) and isinstance(after, Heap):
        yield from _of_heaps(path, before, after)
    else:
        yield changed(path, before, after)


def changed(path: str, before: Picture | None, after: Picture | None) -> Change:
    """Return the change of what stands at one path; None: nothing stood there, or does now."""
    kind: Literal["changed", "added", "removed"] = (
        "added" if before is None else "removed" if after is None else "changed"
    )
    return Change(
        path=path,
        kind=kind,
        before=None if before is None else before.plain,
        after=None if after is None else after.plain,
        text=f"{path} {ABSENT if before is None else before} → {ABSENT if after is None else after}",
    )


def counted(path: str, item: Picture, count: int, unit: str = "") -> Change:
    """Return the change by `count` elements that are alike, without a path of their own; below zero: removed."""
    plain, what = item.plain, f"{unit}{'s' if unit and abs(count) > 1 else ''} {item}".strip()
    text = f"{path} {count:+d} {what}"
    if count > 0:
        return Change(path=path, kind="added", after=plain, text=text)
    return Change(path=path, kind="removed", before=plain, text=text)


def _of_parts(path: str, before: Parts, after: Parts) -> Iterator[Change]:
    for step in before.items | after.items:
        left, right = before.items.get(step), after.items.get(step)
        if left is None or right is None:
            yield changed(f"{path}{step}", left, right)
        else:
            yield from differences(f"{path}{step}", left, right)


def _of_rows(path: str, before: Row, after: Row) -> Iterator[Change]:
    """Leave out what both begin with and what both end with, and compare the rest pairwise."""
    left, right = before.items, after.items
    start, least = 0, min(len(left), len(right))
    while start < least and left[start] == right[start]:
        start += 1
    end = 0
    while end < least - start and left[-1 - end] == right[-1 - end]:
        end += 1
    pairs = zip_longest(left[start : len(left) - end], right[start : len(right) - end])
    for place, (old, new) in enumerate(pairs, start):
        if old is not None and new is not None:
            yield from differences(f"{path}[{place}]", old, new)
        elif new is not None:
            yield counted(path, new, 1)
        elif old is not None:
            yield counted(path, old, -1)


def _of_heaps(path: str, before: Heap, after: Heap) -> Iterator[Change]:
    pictures: dict[str, Picture] = {str(item): item for item in (*before.items, *after.items)}
    left, right = Counter(map(str, before.items)), Counter(map(str, after.items))
    for text in sorted(left | right):
        if left[text] != right[text]:
            yield counted(path, pictures[text], right[text] - left[text])
