"""The conformance suite: cases that hold every connector to the rules that stand in `pq_core.connector`.

All that the author of a connector writes::

    class TestMyConnector(ConnectorConformance):
        @pytest.fixture
        async def connector(self):
            async with my_empty_open_connector() as connector:
                yield connector

A case may be overridden only to say that it is known to fail: ``@pytest.mark.xfail(strict=True, reason="...")``. What a
connector does not claim to do is said by name, as in ``supports_connection = False``. :data:`VERSION` says which rules
and cases these are.
"""

from __future__ import annotations

from pkgutil import iter_modules

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

# Only what is imported from here on shows, when an assertion fails, what its values were.
from pq_testing.conformance.case import Case, Transactions, Undo  # noqa: E402
from pq_testing.conformance.scene import START, Scene, fetch_all  # noqa: E402
from pq_testing.conformance.suite import TOPICS, ConnectorConformance  # noqa: E402

VERSION = "2.0"
"""Version of the kit: of this suite and of `pq_testing.model`, which hold connectors to the same rules.

The first number grows when a rule that stands in `pq_core.connector` changes, so that a connector that was right must
be changed; the second when a case or a step of the model is added or made stricter, so that a connector that was wrong
may be found out. A case that asked for more than the rule says is mended without either.

.. versionadded:: 0.1
"""

__all__ = ["START", "TOPICS", "VERSION", "Case", "ConnectorConformance", "Scene", "Transactions", "Undo", "fetch_all"]
