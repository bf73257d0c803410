"""Cron texts, in zones whose clocks are moved, against a count of all five minutes of a year."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest

from pq_core.cron import Cron
from pq_core.errors import InvalidOption

FIVE = timedelta(minutes=5)
START, END = datetime(2031, 1, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)
ZONES = ("UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe")


@cache
def shown(zone: str) -> list[tuple[datetime, datetime]]:
    """Return every fifth minute of the year, and what the clock shows then."""
    place, moment, found = ZoneInfo(zone), START, []
    while moment < END:
        found.append((moment, moment.astimezone(place).replace(tzinfo=None)))
        moment += FIVE
    return found


def counted(zone: str, hours: set[int], minutes: set[int]) -> list[datetime]:
    """Return the ticks of the year, later than its begin, by looking at all those minutes."""
    year = shown(zone)
    if len(hours) == 24:
        return [moment for moment, wall in year[1:] if wall.minute in minutes]
    first: dict[datetime, datetime] = {}
    for moment, wall in year:
        first.setdefault(wall, moment)
    ticks = set()
    wall, latest = year[0][1], max(first)
    jump = None  # of minutes that the clock leaves out: when it shows a later one
    walls = []
    while wall <= latest:
        walls.append(wall)
        wall += FIVE
    for wall in reversed(walls):
        jump = first.get(wall, jump)
        if wall.hour in hours and wall.minute in minutes and jump is not None:
            ticks.add(jump)
    return sorted(ticks - {START})


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "text, hours, minutes",
    [
        ("*/15 * * * *", set(range(24)), {0, 15, 30, 45}),
        ("30 2 * * *", {2}, {30}),
        ("0,20,40 1-3 * * *", {1, 2, 3}, {0, 20, 40}),
        ("5 */2 * * *", set(range(0, 24, 2)), {5}),
    ],
)
def test_a_year_of_ticks_is_what_a_count_says(zone: str, text: str, hours: set[int], minutes: set[int]) -> None:
    expected = counted(zone, hours, minutes)
    assert [*takewhile(lambda tick: tick < END, Cron(text, zone).from_on(START))] == expected


@pytest.mark.parametrize("zone", ZONES)
def test_the_next_tick_is_the_same_from_any_moment_before_it(zone: str) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to do the same again
    rng = random.Random(seed)
    for text in ("17 1-3 * * *", "7 * * * *", "3 30 2 * * *"):
        cron = Cron(text, zone)
        ticks = [*takewhile(lambda tick: tick < END, cron.from_on(START))]
        for _ in range(200):
            place = rng.randrange(len(ticks) - 1)
            between = (ticks[place + 1] - ticks[place]).total_seconds()
            assert cron.after(ticks[place] + timedelta(seconds=rng.uniform(0, between - 0.001))) == ticks[place + 1]


def test_a_time_that_is_left_out_ticks_when_the_clock_jumps_over_it() -> None:
    before = datetime(2031, 3, 29, 12, tzinfo=UTC)
    assert Cron("30 2 * * *", "Europe/Paris").after(before) == datetime(2031, 3, 30, 1, tzinfo=UTC)


def test_a_time_that_comes_twice_ticks_when_it_comes_first() -> None:
    before = datetime(2031, 10, 25, 12, tzinfo=UTC)
    first, second = islice(Cron("30 2 * * *", "Europe/Paris").from_on(before), 2)
    assert (first, second) == (datetime(2031, 10, 26, 0, 30, tzinfo=UTC), datetime(2031, 10, 27, 1, 30, tzinfo=UTC))


def test_seconds_come_first() -> None:
    assert Cron("*/20 0 0 * * *").after(START) == START + timedelta(seconds=20)


def test_the_last_of_many_ticks_is_found_without_looking_at_each() -> None:
    cron = Cron("* * * * * *")
    first = datetime(1971, 1, 1, tzinfo=UTC)
    assert cron.last(first, END + timedelta(seconds=0.5)) == END
    assert Cron("0 0 1 1 *").last(first, END - FIVE) == START
    assert Cron("@daily").last(START, START) == START


@pytest.mark.parametrize(
    "text, said",
    [
        ("61 * * * *", "character 1: '61' is no minute"),
        ("1,2,x * * * *", "character 5: 'x' is no minute"),
        ("* * * FOO *", "character 7: 'FOO' is no month"),
        ("*/0 * * * * *", "character 1: '*/0' is no second"),
        ("*  *   5-1 * *", "character 8: '5-1' is no day of month"),
        ("* * * *", "has 4 fields"),
        ("0 0 30 2 *", "never comes"),
        ("@fortnightly", "is no nickname"),
        ("", "is not a text"),
        (None, "is not a text"),
        ("*" * 501, "501 characters"),
    ],
)
def test_a_bad_text_is_refused_with_the_place(text: str, said: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        Cron(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe", None, "a\x00b"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidOption, match="timezone"):
        Cron("* * * * *", name)
