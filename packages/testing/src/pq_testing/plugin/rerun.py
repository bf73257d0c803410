"""Runs a test once for each point at which a worker can crash: setup, call and teardown, with fresh fixtures."""

from __future__ import annotations

import inspect
from typing import Any, cast

import pytest
from _pytest.runner import runtestprotocol  # Runs one test; plugins that run tests again have nothing else to call.

from pq_testing.plugin.lifetime import between_tests, lifetime_of
from pq_testing.plugin.marks import arguments_of
from pq_testing.plugin.replay import REPEATED
from pq_testing.plugin.state import state_of

_MOST = 10_000
"""Points after which a test counts as having no last one."""

Reports = list[pytest.TestReport]


def run_for_each_point(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run the test as often as it has points, and report the first run that fails, else the one without a crash.

    Returns:
        None if the test does not ask for it, so that others run it.
    """
    if not _asks(item):
        return None
    ihook = item.ihook
    ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = _run_all(item)
    reports += _leave(item, nextitem)
    for report in reports:
        ihook.pytest_runtest_logreport(report=report)
    ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def status(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Return how a test that has run many times shows itself, if it passed."""
    repeated = dict(report.user_properties).get(REPEATED)
    if repeated is None or not report.passed or report.when != "call" or hasattr(report, "wasxfail"):
        return None
    return "passed", ".", f"PASSED ({repeated})"


def _asks(item: pytest.Item) -> bool:
    wanted = arguments_of(item.iter_markers("pq"))
    return wanted.get("crash") == "everywhere" and not (
        wanted.get("crash_at") or state_of(item.config).options.pq_crash_at
    )


def _run_all(item: pytest.Item) -> Reports:
    properties = [*item.user_properties]
    undisturbed, points = _run(item, 0)
    if not _passed(undisturbed):
        return undisturbed
    point = 0
    while point < min(points, _MOST) and not (item.session.shouldstop or item.session.shouldfail):
        point += 1
        item.user_properties[:] = properties
        reports, seen = _run(item, point)
        points = max(points, seen)  # What a crash leads to may have points of its own.
        if not _passed(reports):
            return _naming(reports, f"failed at point {point} of {points}; without a crash the test passes")
    for report in undisturbed:
        report.user_properties.append((REPEATED, f"{point} crash points"))
    return undisturbed


def _naming(reports: Reports, text: str) -> Reports:
    for report in reports:
        if report.failed:
            report.sections.append(("pq crash", text))
    return reports


def _run(item: pytest.Item, point: int) -> tuple[Reports, int]:
    """Run the test, a worker crashing at `point`; return the reports, and how many points the run has passed."""
    _renew_instance(item)
    lifetime = lifetime_of(item)
    lifetime.crash_at = point
    # Without the test itself in it, the chain of the next item says that all but the test is still needed.
    reports = runtestprotocol(item, log=False, nextitem=item.parent)  # type: ignore[arg-type]  # asked for its chain only
    return reports, lifetime.points


def _renew_instance(item: Any) -> None:
    """Have pytest make a new instance of the test's class, as it does for each test."""
    method = getattr(item, "obj", None)
    if getattr(item, "cls", None) is None or not inspect.ismethod(method):
        return
    if method.__func__ is getattr(item.cls, item.originalname, None):  # Else others have put their own there.
        kept = cast("dict[str, Any]", vars(item))
        kept.pop("_obj", None)
        kept.pop("_instance", None)


def _passed(reports: Reports) -> bool:
    return all(report.passed or str(report.longrepr).startswith("[XPASS(strict)]") for report in reports)


def _leave(item: pytest.Item, nextitem: pytest.Item | None) -> Reports:
    """Tear down what the next test does not need: module, class, session."""
    # The hook for teardown is for tests, and this one's is done.
    state: Any = item.session._setupstate  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - as above

    def tear_down() -> None:
        state.teardown_exact(nextitem)

    with between_tests(item.config):
        call = cast("pytest.CallInfo[None]", pytest.CallInfo.from_call(tear_down, when="teardown"))
    if call.excinfo is None:
        return []
    report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    return [report]
