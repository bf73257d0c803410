from __future__ import annotations

import random

from pq_core.memory.line import SLACK, Line


def test_the_first_of_a_line_is_the_least_place_whoever_comes_and_leaves() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    chance = random.Random(seed)
    line, members = Line[tuple[int, int]](), set[tuple[int, int]]()
    for _ in range(5000):
        place = chance.randrange(10), chance.randrange(30)
        if chance.random() < 0.5:
            line.add(place)
            members.add(place)
        else:
            line.discard(place)
            members.discard(place)
        assert line.first() == min(members, default=None)
        assert len(line) == len(members)


def test_a_line_forgets_places_behind_a_first_that_never_leaves() -> None:
    line = Line[tuple[int, int]]()
    line.add((0, 0))
    for number in range(1, 1000):
        line.add((1, number))
        line.discard((1, number))
    assert len(line._heap) <= SLACK + 2
    assert line.first() == (0, 0)
