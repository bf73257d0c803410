"""What a worker logs, and what it is told, stands in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

import pq_core.worker
from pq_core.worker.options import Settings

DOCS = Path(__file__).parents[4] / "docs"
ACTION = re.compile(r'(?:fields|self\._write|self\._rest|self\._log)\([^"]*?(?<!f)"(\w+)"', re.DOTALL)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def actions() -> set[str]:
    worker = Path(pq_core.worker.__file__).parent
    files = [*worker.glob("*.py"), worker.parent / "events.py"]
    found = {action for file in files for action in ACTION.findall(file.read_text(encoding="utf-8"))}
    chores = {"heartbeat_failed", "rescue_failed", "prune_failed"}
    return found | chores | {"job_cancelled", "job_released", "fetch_failed"}


def test_every_action_is_documented_and_no_other() -> None:
    page = (DOCS / "how-to" / "logging.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert {action for row in rows for action in re.findall(r"`(\w+)`", row)} == actions()


def test_every_option_has_its_default_and_a_reason_in_the_table() -> None:
    page = (DOCS / "reference" / "defaults.md").read_text(encoding="utf-8")
    table = page.split("## Worker")[1].split("## Task")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|.*\w.*\|$", table, re.MULTILINE))
    assert set(rows) == {field.name for field in attrs.fields(Settings)}
    for field in attrs.fields(Settings):
        shown = str(field.default).removesuffix(".0").split(",")[0]
        assert shown in rows[field.name], field.name
