"""The page about drift cases and the suite name the same cases."""

from __future__ import annotations

import re
from pathlib import Path

from pq_testing.conformance import TOPICS, ConnectorConformance

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "drift-cases.md"
ROW = re.compile(r"^\| (\d+) \| .* \| (.+) \|$", re.MULTILINE)
ROWS = {int(number): case for number, case in ROW.findall(PAGE.read_text(encoding="utf-8"))}


def test_all_thirty_six_have_a_case_or_a_reason() -> None:
    assert sorted(ROWS) == list(range(1, 37))
    assert all(case.startswith(("`test_", "does not apply: ")) for case in ROWS.values())


def test_each_case_named_by_the_page_names_the_number() -> None:
    for number, case in ROWS.items():
        if case.startswith("`"):
            doc = getattr(ConnectorConformance, case.strip("`")).__doc__ or ""
            assert f"drift_{number:02}" in doc, case


def test_each_number_named_by_a_case_has_a_case_on_the_page() -> None:
    named = {
        int(number)
        for topic in TOPICS
        for case in vars(topic).values()
        for number in re.findall(r"drift_(\d\d)", getattr(case, "__doc__", None) or "")
    }
    assert named == {number for number, case in ROWS.items() if case.startswith("`")}


def test_no_case_hides_another_of_the_same_name() -> None:
    names = [name for topic in TOPICS for name in vars(topic) if name.startswith("test_")]
    assert len(names) == len(set(names)) > 250
