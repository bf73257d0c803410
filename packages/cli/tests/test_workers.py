from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import anyio
import pytest

from pq_core.connector import WorkerInfo


@pytest.fixture
def staffed(command: Any) -> Any:
    """Worker 5 serves mail and runs a job; the lease of worker 6 has run out."""

    async def hire() -> None:
        store = command.app.connector
        info = WorkerInfo(id=5, name="w\x1b", queues=["mail", "sums"], details={"host": "larch", "pid": 12})
        await store.heartbeat(info, timedelta(minutes=5))
        command.app.tasks["add"].defer(a=1, b=2)
        await store.fetch(5, None, 1)
        await store.heartbeat(WorkerInfo(id=6), timedelta(0))

    anyio.run(hire)
    return command


def test_workers_are_lines_with_tabs_for_programs(staffed: Any) -> None:
    header, *rows = [line.split("\t") for line in staffed("workers").stdout.splitlines()]
    assert header == ["id", "name", "state", "running", "queues", "host", "pid", "started_at", "lease_until"]
    assert [row[:7] for row in rows] == [
        ["5", "w\\x1b", "alive", "1", "mail,sums", "larch", "12"],
        ["6", "worker", "lost", "0", "all", "-", "-"],
    ]


def test_as_json_a_worker_has_all_that_is_known_of_it(staffed: Any) -> None:
    first, second = json.loads(staffed("workers", "--json").stdout)
    assert set(first) == {
        *("id", "name", "queues", "details", "started_at", "heartbeat_at", "lease_until", "alive", "running")
    }
    assert (first["id"], first["queues"], first["details"]["host"], first["running"]) == (
        5,
        ["mail", "sums"],
        "larch",
        1,
    )
    assert (second["queues"], second["alive"]) == (None, False)
    assert first["lease_until"].endswith("+00:00")


def test_only_live_ones_may_be_asked_for(staffed: Any) -> None:
    assert [worker["id"] for worker in json.loads(staffed("workers", "--alive", "--json").stdout)] == [5]


def test_what_is_wrong_is_told_by_the_exit_code(staffed: Any) -> None:
    text = staffed("health", code=1).stdout
    assert "! 1 worker has been lost\n" in text
    assert text.splitlines()[1].split() == ["workers", "1"]
    found = json.loads(staffed("health", "--json", code=1).stdout)
    assert (found["workers"], found["lost_workers"], found["findings"]) == (1, 1, ["1 worker has been lost"])


def test_a_queue_that_is_well_is_told_with_0(command: Any) -> None:
    command.app.tasks["add"].defer(a=1, b=2)
    text = command("health").stdout
    assert "queue sums: served by nobody, has waited since 20" in text
    found = json.loads(command("health", "--json").stdout)
    assert found["findings"] == []
    assert [(queue["name"], queue["served"], queue["paused"]) for queue in found["queues"]] == [("sums", False, False)]


def test_a_job_is_explained_line_by_line(staffed: Any) -> None:
    job = staffed.app.tasks["add"].configure(lock="x\x1b").defer(a=1, b=2)
    staffed.app.tasks["add"].configure(lock="x\x1b").defer(a=1, b=2)
    lines = staffed("jobs", "why", str(job + 1)).stdout.splitlines()
    assert lines[0] == "job 3 (add, queue sums), ready:"
    assert lines[1].startswith("- job 2 comes first under its lock 'x")
    assert "\x1b" not in "".join(lines)


def test_as_json_each_cause_has_its_kind_its_sentence_and_its_facts(staffed: Any) -> None:
    found = json.loads(staffed("jobs", "why", "1", "--json").stdout)
    assert (found["id"], found["state"]) == (1, "running")
    (cause,) = found["causes"]
    assert (cause["kind"], cause["worker"]) == ("Running", 5)
    assert cause["text"].startswith("it runs since 20")
    assert cause["status"]["info"]["queues"] == ["mail", "sums"]
    assert cause["since"].endswith("+00:00")


def test_a_job_that_is_not_there_cannot_be_explained(staffed: Any) -> None:
    assert "no job has the id 99" in staffed("jobs", "why", "99", code=1).stderr
