from __future__ import annotations

import hashlib
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

import pq_core as pq
from pq_cli.demo.tasks import ATTEMPTS, hash_file, path_of, tasks, text_of


@pytest.mark.parametrize("path", [b"/a", b"/\xff\xfe", b"/new\nline", "/ünï".encode(), b"/100%", b"/a b"])
def test_a_path_travels_as_json(path: bytes) -> None:
    assert path_of(json.loads(json.dumps(text_of(path)))) == path


def test_a_file_is_hashed(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert hash_file(text_of(os.fsencode(tmp_path / "x"))) == hashlib.sha256(b"abc").hexdigest()


def test_what_has_become_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to(__file__)
    with pytest.raises(OSError, match="symbolic links"):
        hash_file(text_of(os.fsencode(tmp_path / "x")))


def test_a_file_that_cannot_be_read_is_tried_again_and_then_fails(tmp_path: Path) -> None:
    app = pq.App(connector=pq.InMemoryConnector())
    app.add_tasks_from(tasks)
    app.defer_many([app.tasks["demo.hash_file"].job(file=text_of(os.fsencode(tmp_path / "gone")))])
    for _ in range(ATTEMPTS):
        app.run_worker(wait=False)
        app.open()
        app.jobs.reschedule(1, schedule_in=timedelta(0))
    (job,) = app.jobs.find()
    assert (job.state, job.attempt, len(job.errors)) == ("failed", ATTEMPTS, ATTEMPTS)
