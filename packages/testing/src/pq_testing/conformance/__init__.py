"""The conformance suite: cases that hold every connector to the rules that stand in `pq_core.connector`.

All that the author of a connector writes::

    class TestMyConnector(ConnectorConformance):
        @pytest.fixture
        async def connector(self):
            async with my_empty_open_connector() as connector:
                yield connector

A case may be overridden only to say that it is known to fail: ``@pytest.mark.xfail(strict=True, reason="...")``. What a
connector does not claim to do is said by name, as in ``supports_connection = False``. New cases come in minor versions.
"""

from __future__ import annotations

from pkgutil import iter_modules

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

# Only what is imported from here on shows, when an assertion fails, what its values were.
from pq_testing.conformance.case import Case, Transactions, Undo  # noqa: E402
from pq_testing.conformance.scene import START, Scene, fetch_all  # noqa: E402
from pq_testing.conformance.suite import TOPICS, ConnectorConformance  # noqa: E402

__all__ = ["START", "TOPICS", "Case", "ConnectorConformance", "Scene", "Transactions", "Undo", "fetch_all"]
