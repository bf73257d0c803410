from __future__ import annotations

import json
from typing import Any

import pytest

FIELDS = {
    "id", "task", "args", "queue", "priority", "lock", "lock_mode", "state", "attempt", "claim", "losses", "max_losses",
    "scheduled_at", "created_at", "started_at", "finished_at", "worker", "cancel_requested_at", "errors", "result",
    "reason", "metadata", "unreadable", "progress", "delivery", "version", "unique_key", "unique_scope", "expires_at",
}  # fmt: skip


@pytest.fixture
def stored(command: Any) -> Any:
    """Jobs 1 and 2 have failed, 3 has succeeded, 4 and 5 wait."""
    app = command.app
    app.tasks["fail"].configure(lock="x\ty\x1b").defer()
    app.tasks["fail"].defer()
    app.tasks["add"].defer(a=1, b=2)
    app.run_worker(wait=False)
    app.open()
    app.tasks["add"].configure(queue="later").defer(a=3, b=4)
    app.configure_task("elsewhere").defer()
    return command


def ids(text: str) -> list[int]:
    return [job["id"] for job in json.loads(text)]


def states(command: Any) -> list[str]:
    return [str(job.state) for job in command.app.jobs.find()]


def test_a_list_is_lines_with_tabs_for_programs(stored: Any) -> None:
    header, first, *_ = stored("jobs", "list").stdout.splitlines()
    assert header.split("\t")[:4] == ["id", "state", "task", "queue"]
    assert first.split("\t")[:6] == ["1", "failed", "fail", "default", "0", "2"]


def test_what_jobs_hold_cannot_reach_the_terminal(stored: Any) -> None:
    assert "x\\ty\\x1b" in stored("jobs", "list").stdout
    assert "\x1b" not in stored("jobs", "show", "1").stdout


def test_as_json_a_list_has_every_field(stored: Any) -> None:
    listed = json.loads(stored("jobs", "list", "--json").stdout)
    assert [job["id"] for job in listed] == [1, 2, 3, 4, 5]
    assert all(set(job) == FIELDS for job in listed)
    assert listed[2]["result"] == 3
    assert listed[2]["finished_at"].endswith("+00:00")


@pytest.mark.parametrize(
    "words,found",
    [
        (["--queue", "later"], [4]),
        (["--task", "add"], [3, 4]),
        (["--state", "failed"], [1, 2]),
        (["--state", "failed", "--state", "succeeded"], [1, 2, 3]),
        (["--lock", "x\ty\x1b"], [1]),
        (["--after", "3"], [4, 5]),
        (["--limit", "2"], [1, 2]),
        (["--task", "add", "--state", "ready"], [4]),
        (["--task", "none"], []),
        (["--args", '{"a": 3.0}'], [4]),
        (["--unique-key", "k"], []),
        (["--created-after", "2001-01-01T00:00Z", "--queue", "later"], [4]),
        (["--created-before", "2001-01-01T00:00+02:00"], []),
        (["--scheduled-before", "2001-01-01T00:00Z"], []),
        (["--scheduled-after", "2001-01-01T00:00Z", "--state", "ready"], [4, 5]),
    ],
)
def test_a_list_can_be_narrowed(stored: Any, words: list[str], found: list[int]) -> None:
    assert ids(stored("jobs", "list", "--json", *words).stdout) == found


def test_a_list_that_was_cut_says_how_to_go_on(stored: Any) -> None:
    assert "--after 2" in stored("jobs", "list", "--limit", "2").stderr
    assert stored("jobs", "list", "--limit", "6").stderr == ""


def test_a_list_goes_on_past_a_page(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pq_cli.search.PAGE", 2)
    assert ids(stored("jobs", "list", "--json").stdout) == [1, 2, 3, 4, 5]
    assert ids(stored("jobs", "list", "--json", "--limit", "3").stdout) == [1, 2, 3]


def test_a_job_is_shown_with_the_errors_of_its_attempts(stored: Any) -> None:
    text = stored("jobs", "show", "1").stdout
    assert "state               failed" in text
    assert text.count("RuntimeError: it\\x1b[31m broke") == 2
    assert "attempt 2" in text


def test_as_json_a_job_is_one_object(stored: Any) -> None:
    job = json.loads(stored("jobs", "show", "1", "--json").stdout)
    assert set(job) == FIELDS
    assert [error["attempt"] for error in job["errors"]] == [1, 2]


def test_a_job_that_is_not_there_is_an_error(stored: Any) -> None:
    assert "no job has the id 99" in stored("jobs", "show", "99", code=1).stderr


def test_who_waits_for_a_job_is_told_how_it_ended(stored: Any) -> None:
    stored.app.jobs.cancel(4, reason="no more")
    assert stored("jobs", "wait", "3").stdout == "succeeded\n"
    assert stored("jobs", "wait", "1", code=1).stdout == "failed: RuntimeError: it\\x1b[31m broke\n"
    assert stored("jobs", "wait", "4", code=1).stdout == "cancelled: no more\n"
    assert json.loads(stored("jobs", "wait", "3", "--json").stdout)["result"] == 3


def test_who_waits_for_a_job_too_long_is_told_so(stored: Any) -> None:
    said = stored("jobs", "wait", "5", "--timeout", "10ms", code=1).stderr
    assert "job 5 (elsewhere) has not ended within 0.01 s: it is ready" in said
    assert "no job has the id 99" in stored("jobs", "wait", "99", code=1).stderr
    assert "'--timeout'" in stored("jobs", "wait", "5", "--timeout", "soon", code=2).stderr


def test_jobs_are_retried_by_id(stored: Any) -> None:
    assert stored("jobs", "retry", "1", "3").stdout.splitlines()[1:] == ["1\tready", "3\tready"]
    assert states(stored) == ["ready", "failed", "ready", "ready", "ready"]


def test_a_search_to_retry_finds_failed_jobs_only_unless_told_otherwise(stored: Any) -> None:
    stored("jobs", "retry", "--queue", "sums")
    assert states(stored)[2] == "succeeded"
    stored("jobs", "retry", "--queue", "sums", "--state", "succeeded")
    assert states(stored)[2] == "ready"


def test_a_search_to_retry_goes_through_every_page(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pq_cli.search.PAGE", 1)
    result = json.loads(stored("jobs", "retry", "--state", "failed", "--json").stdout)
    assert result == {"changed": [{"id": 1, "state": "ready"}, {"id": 2, "state": "ready"}], "unchanged": []}


def test_a_limit_holds_for_changes_too(stored: Any) -> None:
    stored("jobs", "retry", "--state", "failed", "--limit", "1")
    assert states(stored)[:2] == ["ready", "failed"]


def test_jobs_are_cancelled_by_id_with_a_reason(stored: Any) -> None:
    stored("jobs", "cancel", "4", "--reason", "too late")
    job = stored.app.jobs.get(4)
    assert (job.state, job.reason) == ("cancelled", "too late")


def test_a_search_to_cancel_finds_jobs_that_have_not_ended(stored: Any) -> None:
    result = json.loads(stored("jobs", "cancel", "--task", "add", "--json").stdout)
    assert result == {"changed": [{"id": 4, "state": "cancelled"}], "unchanged": []}


@pytest.mark.parametrize("verb,id_,other", [("retry", "1", 4), ("cancel", "5", 3)])
def test_ids_that_could_not_be_changed_are_told_and_the_others_are_changed(
    stored: Any, verb: str, id_: str, other: int
) -> None:
    result = stored("jobs", verb, "99", id_, id_, str(other), "--json", code=1)
    assert [each["id"] for each in json.loads(result.stdout)["changed"]] == [int(id_)]
    assert json.loads(result.stdout)["unchanged"] == [other, 99]
    assert f"{other}, 99" in result.stderr


def test_jobs_are_rescheduled(stored: Any) -> None:
    words = [
        "--to-queue",
        "slow",
        "--priority",
        "3",
        "--to-lock",
        "l",
        "--in",
        "1h",
        "--expires-at",
        "2040-01-01T00:00Z",
    ]
    assert stored("jobs", "reschedule", "4", *words).stdout.splitlines()[1:] == ["4\tscheduled"]
    job = stored.app.jobs.get(4)
    assert (job.queue, job.priority, job.lock, job.expires_at.year) == ("slow", 3, "l", 2040)
    stored("jobs", "reschedule", "--queue", "slow", "--no-lock", "--no-expiry", "--at", "2001-01-01T00:00Z")
    job = stored.app.jobs.get(4)
    assert (job.queue, job.state, job.lock, job.expires_at) == ("slow", "ready", None, None)


def test_jobs_are_deleted_without_a_trace(stored: Any) -> None:
    result = json.loads(stored("jobs", "delete", "--args", '{"b": 2}', "--json").stdout)
    assert result == {"changed": [{"id": 3, "state": "deleted"}], "unchanged": []}
    assert stored("jobs", "delete", "1", "3", code=1).stdout.splitlines()[1:] == ["1\tdeleted"]
    assert [job.id for job in stored.app.jobs.find()] == [2, 4, 5]


@pytest.mark.parametrize(
    "verb,words,changed", [("retry", [], [1, 2]), ("cancel", [], [4, 5]), ("delete", [], [1, 2, 3, 4, 5]),
                           ("reschedule", ["--priority", "1"], [4, 5])],
)  # fmt: skip
def test_everything_has_to_be_asked_for_by_that_word(
    stored: Any, verb: str, words: list[str], changed: list[int]
) -> None:
    result = json.loads(stored("jobs", verb, "--everything", *words, "--json").stdout)
    assert [each["id"] for each in result["changed"]] == changed


@pytest.mark.parametrize("verb", ["retry", "cancel", "delete"])
@pytest.mark.parametrize("words", [[], ["1", "--queue", "x"], ["--limit", "1"], ["1", "--everything"]])
def test_a_change_wants_either_ids_or_a_search(stored: Any, verb: str, words: list[str]) -> None:
    before = states(stored)
    assert "either by their ids, or by" in " ".join(stored("jobs", verb, *words, code=2).stderr.split())
    assert states(stored) == before


@pytest.mark.parametrize(
    "words,complaint",
    [
        (["list", "--state", "done"], "there are only scheduled, ready"),
        (["list", "--limit", "0"], "--limit"),
        (["list", "--after", "-1"], "--after"),
        (["show", "first"], "'ID'"),
        (["retry", "--state", "done"], "there are only scheduled, ready"),
        (["cancel", "x"], "'ID'"),
        (["list", "--args", "[1]"], "is not a JSON object"),
        (["delete", "--created-before", "2030-01-01"], "'--created-before'"),
        (["reschedule", "4"], "say what is to change"),
        (["reschedule", "4", "--to-lock", "x", "--no-lock"], "'--no-lock'"),
        (["reschedule", "--priority", "1"], "either by their ids, or by"),
        (["retry", "--state", "ready", "--state", "running"], "left alone"),
        (["cancel", "--state", "succeeded"], "left alone"),
        (["delete", "--state", "running"], "left alone"),
        (["reschedule", "--state", "failed", "--priority", "1"], "left alone"),
        (["delete", "1", "--limit", "1"], "go with a search"),
        (["cancel", "1", "--after", "1"], "go with a search"),
    ],
)
def test_bad_input_is_refused_by_name(stored: Any, words: list[str], complaint: str) -> None:
    assert complaint in stored("jobs", *words, code=2).stderr
