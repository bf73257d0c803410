"""Names of tables and columns, as users write them: with a schema, with quotes, or plain."""

from __future__ import annotations

import re

import attrs

from pq_core.errors import InvalidOption, shown

PART = re.compile(r'"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^".]+)')
MOST_PARTS = 2


@attrs.frozen
class Part:
    """One of the identifiers between the dots.

    Attributes:
        text: without its quotes.
        quoted: whether it had any: then its case counts everywhere.
    """

    text: str
    quoted: bool

    def folded(self) -> str:
        """Return the identifier as PostgreSQL means it."""
        return self.text if self.quoted else self.text.lower()

    def fits(self, name: str) -> bool:
        """Return whether this names what the database calls `name`."""
        return self.text == name or (not self.quoted and self.text.lower() == name.lower())


@attrs.frozen
class TableName:
    """A table as the user wrote it, which is also how messages call it."""

    given: str
    schema: Part | None
    table: Part

    @classmethod
    def parse(cls, given: object) -> TableName:
        """Read a name such as ``orders``, ``shop.orders`` or ``"Order Lines"``.

        Raises:
            InvalidOption: it is none.
        """
        parts = split(given)
        if not isinstance(given, str) or parts is None or len(parts) > MOST_PARTS:
            raise InvalidOption(
                f"{shown(given)} is not the name of a table: write 'orders', 'shop.orders' with its schema, or "
                "'\"Order Lines\"' where SQL needs quotes."
            )
        return cls(given, parts[0] if len(parts) == MOST_PARTS else None, parts[-1])

    def fits(self, parts: list[Part]) -> bool:
        """Return whether a table written as `parts` is this one."""
        mine = [part for part in (self.schema, self.table) if part is not None]
        return len(parts) <= len(mine) and all(
            theirs.fits(own.text) for own, theirs in zip(mine[-len(parts) :], parts, strict=True)
        )


def split(given: object) -> list[Part] | None:
    """Return the identifiers of a dotted name; None if it is not one."""
    parts: list[Part] = []
    text = given if isinstance(given, str) else ""
    place = 0
    while found := PART.match(text, place):
        quoted = found["quoted"]
        parts.append(
            Part(found["plain"], quoted=False) if quoted is None else Part(quoted.replace('""', '"'), quoted=True)
        )
        place = found.end()
        if place == len(text):
            return parts
        if text[place] != ".":
            return None
        place += 1
    return None


def quote(identifier: str) -> str:
    """Return an identifier as SQL text."""
    return '"' + identifier.replace('"', '""') + '"'
