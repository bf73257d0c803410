"""What can go wrong with watching.

::

    PQError
    └── EffectsError
        ├── CannotWatch (TypeError)     an object that cannot change, or a connection of a kind that is not known
        ├── TableNotFound               no such table; says which there are
        ├── ColumnNotFound              `ignore=` names no column; says which there are
        ├── TooMuchToWatch              a table has too many rows, or an object too many parts
        └── CannotRead                  the database, or the watched function, did not answer; or not in this colour
"""

from __future__ import annotations

from pq_core.errors import PQError


class EffectsError(PQError):
    """Something cannot be watched as was asked.

    .. versionadded:: 0.1
    """


class CannotWatch(EffectsError, TypeError):
    """An object that cannot change, or a connection of a kind that is not known.

    .. versionadded:: 0.1
    """


class TableNotFound(EffectsError):
    """There is no table of that name, as this connection sees it.

    .. versionadded:: 0.1
    """


class ColumnNotFound(EffectsError):
    """`ignore=` names a column that no watched table has.

    .. versionadded:: 0.1
    """


class TooMuchToWatch(EffectsError):
    """A table has more rows, or an object more parts, than are compared one by one.

    .. versionadded:: 0.1
    """


class CannotRead(EffectsError):
    """What is watched could not be read: the database refused, or the watched function raised.

    .. versionadded:: 0.1
    """
