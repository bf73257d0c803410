from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pq_benchmarks import interpreters
from pq_benchmarks.interpreters import find_interpreter


def test_this_interpreter_is_taken_if_it_is_new_enough() -> None:
    assert find_interpreter((3, 11)) == (Path(sys.executable), sys.version_info[:2])


def test_another_one_is_taken_if_it_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old, broken, new = (tmp_path / name for name in ("old", "broken", "new"))
    for path, answer in ((old, "echo 3 10"), (broken, "exit 1"), (new, "echo 9 1")):
        path.write_text(f"#!/bin/sh\n{answer}\n")
        path.chmod(0o755)
    monkeypatch.setattr(interpreters, "_candidates", lambda: iter([old, broken, tmp_path / "missing", new]))
    assert find_interpreter((9, 0)) == (new, (9, 1))
    assert find_interpreter((10, 0)) is None
