"""What can go wrong in the command itself.

::

    PQError
    └── CommandError
        ├── ToolkitMissing      pq-testing is not installed
        └── DemoFailed          the demo could not be run to its end
"""

from __future__ import annotations

from pq_core.errors import PQError


class CommandError(PQError):
    """The command cannot do what was asked."""


class ToolkitMissing(CommandError):
    """The command needs pq-testing, which production does not carry."""


class DemoFailed(CommandError):
    """The demo could not be run to its end."""
