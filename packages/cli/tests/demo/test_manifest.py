from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pq_cli.demo import manifest
from pq_cli.errors import DemoFailed

NAMES = [
    b"plain",
    b"with space",
    b" lead",
    b"back\\slash",
    b"new\nline",
    b"carriage\rreturn",
    b"end\r",
    b"\\n",
    b"\\",
    b"*star",
    b"-c",
    b"\xff\xfe",
    "ünï".encode(),
]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_sha256sum_accepts_any_name(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name)).write_bytes(name)
    output = tmp_path.with_name(f"{tmp_path.name}.sha256")
    output.write_bytes(manifest.line(hashlib.sha256(name).hexdigest(), name))
    program = shutil.which("sha256sum") or shutil.which("gsha256sum")
    assert program is not None
    done = subprocess.run([program, "-c", output], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_it_takes_the_place_of_an_older_one_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_text("old")
    with manifest.written(path) as lines:
        lines.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_older_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_text("old")

    def write_half() -> None:
        with manifest.written(path) as lines:
            lines.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])


@pytest.mark.parametrize("place", [".", "missing/m", "/dev/null"])
def test_where_it_cannot_be_written_is_said_before_any_work(tmp_path: Path, place: str) -> None:
    with pytest.raises(DemoFailed, match="--manifest"), manifest.written(tmp_path / place):
        pytest.fail("the work began")
