"""The suite: all classes of cases in one."""

from __future__ import annotations

import inspect

import pytest

from pq_testing.conformance.case import Case
from pq_testing.conformance.concluding import Concluding
from pq_testing.conformance.deferring import Deferring
from pq_testing.conformance.ending import AtMostOnce, Progressing, Superseding
from pq_testing.conformance.expiring import Expiring
from pq_testing.conformance.fetching import Fetching, Sharing
from pq_testing.conformance.filtering import Filtering
from pq_testing.conformance.finishing import Fencing, Finishing, GoingOn
from pq_testing.conformance.hardening import Forking, Hardening, Opening
from pq_testing.conformance.isolating import Isolating
from pq_testing.conformance.json_values import JsonValues
from pq_testing.conformance.keys_in_transactions import KeysInTransactions
from pq_testing.conformance.listening import Listening
from pq_testing.conformance.listing import Finding, Pausing
from pq_testing.conformance.locking import Freeing, Locking
from pq_testing.conformance.mutex import Mutex
from pq_testing.conformance.pausing import PausingAll, PausingTasks
from pq_testing.conformance.pruning import Pruning, TimeTravel
from pq_testing.conformance.purging import Purging
from pq_testing.conformance.refusing import Refusing
from pq_testing.conformance.reporting import Standings, TellingOfHealth, TellingOfWorkers
from pq_testing.conformance.rescuing import LastLife, Leasing, Rescuing
from pq_testing.conformance.scheduling import PuttingSchedules, Ticking
from pq_testing.conformance.steering import Cancelling, Rescheduling, Reviving
from pq_testing.conformance.streaming import Streaming
from pq_testing.conformance.sync_twin import SyncTwin
from pq_testing.conformance.terms import Terms
from pq_testing.conformance.transacting import Transacting
from pq_testing.conformance.uniqueness import (
    KeptPeriods,
    LateStarters,
    Replacing,
    RevivingTwins,
    Uniqueness,
)
from pq_testing.conformance.waiting import Waiting


class ConnectorConformance(
    Deferring,
    Terms,
    Uniqueness,
    Replacing,
    KeptPeriods,
    LateStarters,
    RevivingTwins,
    KeysInTransactions,
    JsonValues,
    Isolating,
    Fetching,
    Sharing,
    Locking,
    Freeing,
    Mutex,
    Finishing,
    Fencing,
    GoingOn,
    Superseding,
    AtMostOnce,
    Progressing,
    Leasing,
    Rescuing,
    LastLife,
    Cancelling,
    Reviving,
    Rescheduling,
    Finding,
    Filtering,
    Pausing,
    PausingTasks,
    PausingAll,
    Expiring,
    Purging,
    Pruning,
    TimeTravel,
    TellingOfWorkers,
    Standings,
    TellingOfHealth,
    PuttingSchedules,
    Ticking,
    Transacting,
    Concluding,
    Streaming,
    Listening,
    Waiting,
    SyncTwin,
    Opening,
    Forking,
    Hardening,
    Refusing,
):
    """All cases. Subclass it and give it a fixture `connector`.

    .. versionadded:: 0.1
    """

    def test_no_case_is_overridden_but_to_say_why_it_fails(self) -> None:
        """Whoever leaves a case out in silence has not checked the connector."""
        for name, found in inspect.getmembers(type(self), inspect.isfunction):
            shipped = getattr(ConnectorConformance, name, None)
            if not name.startswith("test_") or shipped is None or found is shipped:
                continue
            marks: list[pytest.Mark] = getattr(found, "pytestmark", [])
            excused = any(
                mark.name == "xfail" and mark.kwargs.get("strict") is True and mark.kwargs.get("reason")
                for mark in marks
            )
            assert excused, f"{name} is overridden without @pytest.mark.xfail(strict=True, reason=...)"


TOPICS: tuple[type[Case], ...] = ConnectorConformance.__bases__
"""The classes of cases, by verb."""
