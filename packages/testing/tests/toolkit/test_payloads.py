"""Payloads of jobs, recorded in tests, and checked against the tasks as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pq_core as pq
from pq_testing import RunJobs
from pq_testing.errors import InvalidPayloads
from pq_testing.payloads import Payload, PayloadMisfit, check, collect, file_name, record
from pq_testing.swap import using


def shop() -> pq.App:
    app = pq.App(connector=pq.InMemoryConnector())

    @app.task(name="mail.send", pass_context=True)
    def send(context: pq.JobContext, /, user_id: Any, subject: str = "hello") -> None:
        raise AssertionError("a check calls nothing")

    @app.task(name="log")
    def log(*lines: str, **fields: Any) -> None: ...

    return app


@pytest.fixture
def run_jobs() -> Iterator[RunJobs]:
    with using(shop()) as run_jobs:
        yield run_jobs


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "tests" / "payloads"


def recorded(run_jobs: RunJobs, directory: Path) -> list[str]:
    return [str(payload) for payload in record(run_jobs.deferred, directory, run_jobs.app)]


def test_a_payload_is_recorded_by_its_shape_without_any_value(run_jobs: RunJobs, directory: Path) -> None:
    send = run_jobs.app.tasks["mail.send"]
    send.defer(user_id=1, subject="secret")
    send.defer(user_id=2, subject="secret too")
    send.defer(user_id=None)
    run_jobs.app.tasks["log"].defer("a", b=1.5, c={"d": 1}, e=True)
    assert recorded(run_jobs, directory) == [
        "log(b: number, c: object, e: boolean, lines: array)",
        "mail.send(subject: string, user_id: integer)",
        "mail.send(user_id: null)",
    ]
    assert (directory / "mail.send.json").read_bytes().decode() == (
        "{\n"
        '  "pq_payloads": 1,\n'
        '  "task": "mail.send",\n'
        '  "shapes": [\n'
        "    {\n"
        '      "subject": "string",\n'
        '      "user_id": "integer"\n'
        "    },\n"
        "    {\n"
        '      "user_id": "null"\n'
        "    }\n"
        "  ]\n"
        "}\n"
    )


def test_what_is_recorded_already_is_not_written_again(run_jobs: RunJobs, directory: Path) -> None:
    send = run_jobs.app.tasks["mail.send"]
    send.defer(user_id=1)
    assert recorded(run_jobs, directory) == ["mail.send(user_id: integer)"]
    file = directory / "mail.send.json"
    before = file.stat().st_mtime_ns, file.stat().st_ino
    assert recorded(run_jobs, directory) == []
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before
    send.defer(user_id="x")
    assert recorded(run_jobs, directory) == ["mail.send(user_id: string)"]
    assert [str(payload) for payload in collect(directory)] == [
        "mail.send(user_id: integer)",
        "mail.send(user_id: string)",
    ]
    assert [path.name for path in directory.iterdir()] == ["mail.send.json"]


def test_a_file_is_the_same_in_whichever_order_tests_ran(run_jobs: RunJobs, tmp_path: Path) -> None:
    send = run_jobs.app.tasks["mail.send"]
    for value in (1, "x", None, []):
        send.defer(user_id=value)
    jobs = list(run_jobs.deferred)
    for name, order in (("one", jobs), ("other", jobs[::-1])):
        for job in order:
            record([job], tmp_path / name, run_jobs.app)
    texts = {(tmp_path / name / "mail.send.json").read_text() for name in ("one", "other")}
    assert len(texts) == 1


def test_of_one_task_twenty_shapes_are_kept(run_jobs: RunJobs, directory: Path) -> None:
    for number in range(30):
        run_jobs.app.tasks["log"].defer(**{f"field{number}": 1})
    assert len(recorded(run_jobs, directory)) == 20
    assert recorded(run_jobs, directory) == []
    assert len(collect(directory)) == 20


def test_what_does_not_fit_or_lives_in_a_test_is_not_recorded(run_jobs: RunJobs, directory: Path) -> None:
    @run_jobs.app.task
    def inner() -> None: ...

    inner.defer()
    run_jobs.app.configure_task("elsewhere").defer(order=7)
    run_jobs.app.defer_many([pq.NewJob(task="mail.send", args={"user": 1})])
    assert recorded(run_jobs, directory) == []
    assert not directory.exists()


def test_names_that_file_systems_may_not_keep_apart_get_a_digest() -> None:
    assert file_name("shop.mail_2.send-all") == "shop.mail_2.send-all.json"
    names = ["a.B", "a.b", "a:b", "a/b", "../b", ".b", "é", "e", "x" * 500, "x" * 499, "x" * 100, "nul\\b", "a b", "-b"]
    files = [file_name(name) for name in names]
    assert len({file.lower() for file in files}) == len(names)
    assert all(len(file) < 120 and file.isascii() and file[0] not in ".-" for file in files)
    assert not any(set(file) & set('/\\:%<>"|?* ') for file in files)


def test_a_payload_that_still_fits_passes_and_calls_nothing(run_jobs: RunJobs, directory: Path) -> None:
    run_jobs.app.tasks["mail.send"].defer(user_id=1)
    run_jobs.app.tasks["log"].defer("a", "b", c=1)
    recorded(run_jobs, directory)
    for payload in collect(directory):
        check(payload, run_jobs.app)


def test_a_renamed_argument_is_found(run_jobs: RunJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "payloads"
    run_jobs.app.tasks["mail.send"].defer(user_id=1)
    recorded(run_jobs, directory)
    (payload,) = collect(directory)
    app = pq.App(connector=pq.InMemoryConnector())

    @app.task(name="mail.send", pass_context=True)
    def send(context: pq.JobContext, user: int) -> None: ...

    with pytest.raises(PayloadMisfit) as failure:
        check(payload, app)
    assert str(failure.value) == (
        "jobs deferred as mail.send(user_id: integer) may still wait somewhere, and would fail now: missing a required "
        "argument: 'user'. The task takes mail.send(user: 'int') -> 'None'. Let it accept the old arguments too, with "
        "a default for each that is new; or delete it from payloads/mail.send.json when no such job can be left"
    )


@pytest.mark.parametrize(
    "source, fits",
    [
        ("def send(user_id): ...", True),
        ("def send(user_id, more=1): ...", True),
        ("def send(**anything): ...", True),
        ("def send(user_id, /): ...", True),
        ("def send(): ...", False),
        ("def send(user_id, more): ...", False),
        ("def send(user, user_id=None): ...", False),
        ("def send(user=None): ...", False),
        ("def send(user, /): ...", False),
    ],
)
def test_it_is_judged_as_a_worker_would(source: str, fits: bool) -> None:
    scope: dict[str, Any] = {}
    exec(source, scope)
    app = pq.App(connector=pq.InMemoryConnector())
    app.task(name="send")(scope["send"])
    payload = Payload("send", (("user_id", "integer"),))
    try:
        check(payload, app)
    except PayloadMisfit:
        judged = False
    else:
        judged = True
    with using(app) as run_jobs:
        run = run_jobs.perform(pq.NewJob(task="send", args=payload.args))
    assert (judged, run.kind == "succeeded") == (fits, fits)


def test_a_renamed_task_is_found_unless_it_keeps_its_old_name(run_jobs: RunJobs, directory: Path) -> None:
    run_jobs.app.tasks["mail.send"].defer(user_id=1)
    recorded(run_jobs, directory)
    (payload,) = collect(directory)
    for aliases in ((), ("mail.send",)):
        app = pq.App(connector=pq.InMemoryConnector())

        @app.task(name="mail.post", aliases=aliases)
        def post(user_id: int) -> None: ...

        if aliases:
            check(payload, app)
            continue
        message = r"no task is named 'mail\.send'.* aliases=\['mail\.send'\]; or delete it from .*mail\.send\.json when"
        with pytest.raises(PayloadMisfit, match=message):
            check(payload, app)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("README.md", "# hello", r"README\.md is not a file of recorded payloads: JSONDecodeError"),
        ("a.json", "[]", "it holds no JSON object"),
        ("a.json", "{}", '"pq_payloads" is not 1'),
        ("a.json", b"\xff", "UnicodeDecodeError"),
        ("a.json", {"task": "b"}, "its name is not that of its task"),
        ("a.json", {"task": 7}, "its name is not that of its task"),
        ("a.json", {"task": "a", "shapes": {}}, '"shapes" is no list'),
        ("a.json", {"task": "a", "shapes": [1]}, "a shape is no object"),
        ("a.json", {"task": "a", "shapes": [{"b": "int"}]}, "'b' is 'int', which is none of null, boolean, integer"),
        ("a.json", {"task": "a", "shapes": [{"b": []}]}, r"'b' is \[\], which is none of null"),
    ],
)
def test_a_file_of_others_is_refused(directory: Path, name: str, content: Any, message: str) -> None:
    directory.mkdir(parents=True)
    if isinstance(content, dict):
        content = json.dumps({"pq_payloads": 1, **content})
    (directory / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InvalidPayloads, match=message):
        collect(directory)


def test_a_directory_that_is_none_is_refused(run_jobs: RunJobs, tmp_path: Path) -> None:
    with pytest.raises(InvalidPayloads, match="is no directory: record what your tests defer with --pq-payloads-upd"):
        collect(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    run_jobs.app.tasks["log"].defer()
    with pytest.raises(InvalidPayloads, match="cannot be made a directory"):
        recorded(run_jobs, tmp_path / "file")


def test_hidden_files_are_left_alone(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / ".gitkeep").touch()
    assert collect(directory) == []


RECORDER = """
import sys
from pathlib import Path
import pq_core as pq
from pq_testing.payloads import record
from pq_testing.swap import using

app = pq.App(connector=pq.InMemoryConnector())

@app.task(name="log")
def log(**fields): ...

first = int(sys.argv[2])
with using(app) as run_jobs:
    for number in range(first, first + 5):
        log.defer(**{f"field{number}": 1})
        record(run_jobs.deferred, Path(sys.argv[1]), app)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot lock a directory")
def test_several_processes_may_record_at_once(directory: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", RECORDER, str(directory), str(first)]) for first in range(0, 20, 5)
    ]
    assert [process.wait(30) for process in processes] == [0] * 4
    assert len(collect(directory)) == 20


CONFTEST = """
import pathlib
import pytest
import pq_core as pq
from pq_testing.payload_items import payload_file, payload_items

app = pq.App(connector=pq.InMemoryConnector())

@app.task(name="log")
def log(line): ...

HOOK
"""
BY_SESSION = """
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session, items):
    items += payload_items(session, session.config.rootpath / "payloads", lambda: app)
"""
BY_FILE = """
def pytest_collect_file(file_path, parent):
    if file_path.parent.name == "payloads":
        return payload_file(parent, file_path, lambda: app)
"""


@pytest.mark.parametrize("hook", [BY_SESSION, BY_FILE], ids=["session", "file"])
def test_each_payload_is_a_test_of_pytest(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(CONFTEST.replace("HOOK", hook))
    directory = pytester.mkdir("payloads")
    content = {"pq_payloads": 1, "task": "log", "shapes": [{"line": "string"}, {"text": "string"}]}
    (directory / "log.json").write_text(json.dumps(content))
    result = pytester.runpytest_subprocess("-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*log.json::(line: string) PASSED*",
            "*log.json::(text: string) FAILED*",
            "_* payload log(text: string) _*",
            "jobs deferred as log(text: string) may still wait somewhere, and would fail now: missing a required *",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    (directory / "log.json").write_text("{}")
    result = pytester.runpytest_subprocess()
    (result.stderr if hook is BY_SESSION else result.stdout).fnmatch_lines(
        ["*pq: *log.json is not a file of recorded*"]
    )
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
