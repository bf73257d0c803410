"""The table of features: every yes of pq stands on a page and on tests that are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
KNOWN: dict[str, Any] = tomllib.loads((ROOT / "docs" / "features.toml").read_text(encoding="utf-8"))
PEERS: dict[str, str] = KNOWN["peers"]
FEATURES: dict[str, dict[str, Any]] = {feature["name"]: feature for feature in KNOWN["feature"]}
CELL = re.compile(r"(yes|no|partly|paid|\?)(: [^|:]+)?")


def test_there_are_features_and_peers() -> None:
    assert len(FEATURES) == len(KNOWN["feature"]) > 30
    assert len(PEERS) == 12


@pytest.mark.parametrize("name", FEATURES)
def test_every_cell_can_be_read(name: str) -> None:
    cells = [FEATURES[name]["pq"], *FEATURES[name]["peers"]]
    assert len(cells) == 1 + len(PEERS)
    assert [cell for cell in cells if not CELL.fullmatch(cell)] == []


@pytest.mark.parametrize("name", [name for name, feature in FEATURES.items() if feature["pq"] != "no"])
def test_what_pq_does_is_described_and_shown(name: str) -> None:
    feature = FEATURES[name]
    assert (ROOT / "docs" / feature["page"]).is_file()
    assert not feature["page"].endswith("index.md")
    assert feature["tests"]
    for test in feature["tests"]:
        path, _, function = test.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert f"def {function}(" in text if function else "def test_" in text


@pytest.mark.parametrize("name", [name for name, feature in FEATURES.items() if feature["pq"] == "no"])
def test_what_pq_does_not_do_is_described_nowhere_as_done(name: str) -> None:
    assert FEATURES[name].keys() == {"group", "name", "means", "pq", "peers"}
