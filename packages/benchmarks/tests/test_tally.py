from __future__ import annotations

import time
from pathlib import Path

from pq_benchmarks.tally import Tally


def test_a_reader_sees_what_a_writer_of_the_same_file_counts(tmp_path: Path) -> None:
    reader = Tally.create(tmp_path / "tally")
    writer = Tally(tmp_path / "tally")
    assert reader.read() == (0, 0.0, 0.0)
    before = time.monotonic()
    writer.tick()
    between = time.monotonic()
    writer.tick()
    writer.tick()
    count, first, last = reader.read()
    assert count == 3
    assert before <= first <= between <= last <= time.monotonic()


def test_a_probe_notes_its_own_start(tmp_path: Path) -> None:
    tally = Tally.create(tmp_path / "tally")
    tally.tick(2)
    none, also_none, start = tally.probes(3)
    assert none == also_none == 0.0
    assert start == tally.read()[2]


def test_a_tally_made_anew_counts_from_zero(tmp_path: Path) -> None:
    Tally.create(tmp_path / "tally").tick()
    assert Tally.create(tmp_path / "tally").read() == (0, 0.0, 0.0)
