"""The clock of a test: it stands still, moves when told, and refuses what makes no sense."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from pq_core.errors import InvalidOption
from pq_testing import Clock
from pq_testing.own_loop import run
from pq_testing.virtual_time import flowing

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


def test_a_clock_begins_at_the_real_time_and_then_stands_still() -> None:
    before = datetime.now(UTC)
    clock = Clock()
    first = clock.now()
    assert before <= first <= datetime.now(UTC)
    assert first.tzinfo is UTC
    assert clock.now() == first


@pytest.mark.parametrize(
    "by,units",
    [
        (timedelta(hours=2), {}),
        ("2h", {}),
        ("1h 60m", {}),
        ("7200", {}),
        (None, {"hours": 2}),
        (None, {"hours": 1, "minutes": 60}),
    ],
)
def test_it_moves_by_a_length_of_time_in_any_form(by: Any, units: dict[str, float]) -> None:
    clock = Clock(NOON)
    assert clock.advance(by, **units) == clock.now() == NOON + timedelta(hours=2)


def test_it_moves_to_a_moment_and_tells_it_in_utc() -> None:
    clock = Clock(NOON)
    there = datetime(2030, 6, 1, 16, tzinfo=timezone(timedelta(hours=2)))
    assert clock.move_to(there) == NOON + timedelta(hours=2)
    assert clock.now().utcoffset() == timedelta(0)


def test_it_goes_back_until_somebody_minds() -> None:
    clock = Clock(NOON)
    clock.move_to(NOON - timedelta(days=365))
    clock.may_go_back = lambda: False
    with pytest.raises(InvalidOption, match=r"goes back: the clock stands at 2029-06-01.* jobs were deferred"):
        clock.move_to(clock.now() - timedelta(microseconds=1))
    clock.move_to(clock.now())


@pytest.mark.parametrize(
    "given,moment",
    [
        ("2h", NOON + timedelta(hours=2)),
        (timedelta(0), NOON),
        (NOON + timedelta(days=1), NOON + timedelta(days=1)),
        (NOON, NOON),
    ],
)
def test_until_is_a_length_from_now_or_a_moment(given: Any, moment: datetime) -> None:
    clock = Clock(NOON)
    assert clock.until(given) == moment
    assert clock.now() == NOON


@pytest.mark.parametrize(
    "call,says",
    [
        (lambda clock: Clock(datetime(2030, 1, 1)), "start datetime.* has no time zone"),  # noqa: DTZ001 - the point
        (lambda clock: clock.move_to(datetime(2030, 1, 1)), "move_to datetime.* has no time zone"),  # noqa: DTZ001
        (lambda clock: clock.until(datetime(2040, 1, 1)), "until datetime.* has no time zone"),  # noqa: DTZ001
        (lambda clock: clock.move_to("tomorrow"), "move_to 'tomorrow' is not a datetime"),
        (lambda clock: clock.until(NOON - timedelta(seconds=1)), "lies in the past: the clock stands at 2030-06-01T12"),
        (lambda clock: clock.until(timedelta(seconds=-1)), "until -1s goes back"),
        (lambda clock: clock.until("soon"), "until 'soon' is not a length of time: give seconds, as 90"),
        (
            lambda clock: clock.until(3600),
            'until 3600 is no length of time: give a timedelta, a text such as "1h30m", or a datetime',
        ),
        (lambda clock: clock.advance(), r"takes one length of time, and got None and {}: write advance\(days=30\)"),
        (lambda clock: clock.advance("1h", days=1), "takes one length of time, and got '1h' and {'days': 1}"),
        (lambda clock: clock.advance("2 fortnights"), "advance '2 fortnights' is not a length of time"),
        (lambda clock: clock.advance(90), "advance 90 is no length of time"),
        (lambda clock: clock.advance(timedelta(days=-1)), "advance -86400s goes back in time"),
        (lambda clock: clock.advance(days=-1), "advance days=-1 goes back in time"),
        (lambda clock: clock.advance(fortnights=1), "unknown unit 'fortnights'; there are years, "),
        (lambda clock: clock.advance(days="1"), "is not a number"),
        (lambda clock: clock.advance(days=float("nan")), "no finite number"),
        (lambda clock: clock.advance("9999999w"), "advance .* is not between the years|leads to a year"),
        (lambda clock: clock.advance(timedelta.max), "leads to a year after which no jobs can be"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_paragraph(call: Any, says: str) -> None:
    clock = Clock(NOON)
    with pytest.raises(InvalidOption, match=says) as refusal:
        call(clock)
    assert "\n" not in str(refusal.value)
    assert clock.now() == NOON


def test_who_asked_for_it_is_told_of_each_move() -> None:
    clock = Clock(NOON)
    told: list[datetime] = []
    clock.on_move.append(told.append)
    clock.advance("1m")
    clock.move_to(NOON + timedelta(hours=1))
    assert told == [NOON + timedelta(minutes=1), NOON + timedelta(hours=1)]


def test_python_keeps_its_own_time() -> None:
    clock = Clock(NOON)
    assert abs(datetime.now(UTC) - clock.now()) > timedelta(days=1)


def test_patched_python_tells_the_time_of_the_clock_and_moves_with_it() -> None:
    pytest.importorskip("time_machine")
    clock = Clock(NOON)
    with clock.patch_python():
        assert datetime.now(UTC) == NOON
        clock.advance(days=3)
        assert datetime.now(UTC) == NOON + timedelta(days=3)
        assert time.time() == (NOON + timedelta(days=3)).timestamp()
    assert abs(datetime.now(UTC) - clock.now()) > timedelta(days=1)
    clock.advance(days=1)


def test_python_that_was_patched_without_a_block_is_itself_again_when_the_clock_is_closed() -> None:
    pytest.importorskip("time_machine")
    clock = Clock(NOON)
    clock.patch_python()
    with clock.patch_python():  # a second call changes nothing ...
        assert datetime.now(UTC) == NOON
    clock.patch_python()  # ... but ends what was begun: now it begins again
    assert datetime.now(UTC) == NOON
    clock.close()
    clock.close()
    assert abs(datetime.now(UTC) - NOON) > timedelta(days=1)
    assert not clock.on_move


def test_without_time_machine_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "time_machine", None)
    with pytest.raises(InvalidOption, match=r"pip install 'pq-testing\[time-machine\]'"):
        Clock().patch_python()


def test_event_loops_and_virtual_time_go_on_in_a_patched_python() -> None:
    pytest.importorskip("time_machine")
    clock = Clock(NOON)

    async def sleep() -> datetime:
        await asyncio.sleep(0.001)
        with flowing(clock):
            await asyncio.sleep(3600)
            return datetime.now(UTC)

    with clock.patch_python():
        assert run(sleep()) == clock.now() == NOON + timedelta(hours=1)
