"""What the toolkit refuses, beside the errors of pq_core.

::

    PQError
    ├── InvalidOption
    │   ├── InvalidPayloads     a directory of recorded payloads with a file in it that is none
    │   └── WrongBackend        asked of jobs in memory what only PostgreSQL can do, or the other way round
    └── DrainError
        ├── AsyncTaskInSyncDrain    an async task, and an event loop runs in this thread already
        └── EndlessJobs             jobs that defer jobs, or run again, without an end
"""

from __future__ import annotations

from pq_core.errors import InvalidOption, PQError


class InvalidPayloads(InvalidOption):
    """The directory of recorded payloads is none, or holds a file that is none of pq's.

    .. versionadded:: 0.1
    """


class WrongBackend(InvalidOption):
    """What was asked, these jobs' backend cannot do.

    .. versionadded:: 0.1
    """


class DrainError(PQError):
    """A drain that cannot go on. Jobs that it had claimed are given back.

    .. versionadded:: 0.1
    """


class AsyncTaskInSyncDrain(DrainError):
    """A sync drain inside a running event loop met an async task, which belongs into that loop.

    .. versionadded:: 0.1
    """


class EndlessJobs(DrainError):
    """A drain has run more jobs than it may: they feed themselves.

    .. versionadded:: 0.1
    """
