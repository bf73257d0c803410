from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

from pq_cli.demo.listing import list_files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "b" / "site-packages").mkdir(parents=True)
    (root / "a.d").mkdir()
    for name in ("z", "b/1", "b/site-packages/2", "a.d/3", "empty"):
        (root / name).write_text("" if name == "empty" else name)
    return root


def test_files_are_listed_in_order_directory_by_directory(tree: Path) -> None:
    listing = list_files(tree, leave_out=())
    assert listing.root == os.fsencode(tree.resolve())
    assert listing.files == [b"empty", b"z", b"a.d/3", b"b/1", b"b/site-packages/2"]
    assert listing.unlisted == []


def test_links_pipes_and_directories_are_no_files(tree: Path) -> None:
    (tree / "link").symlink_to("z")
    (tree / "elsewhere").symlink_to(tree / "b")
    (tree / "dangling").symlink_to("nothing")
    (tree / "loop").symlink_to(".")
    os.mkfifo(tree / "pipe")
    assert list_files(tree, leave_out=()).files == [b"empty", b"z", b"a.d/3", b"b/1", b"b/site-packages/2"]


def test_a_link_given_as_the_path_is_followed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree / "b")
    assert list_files(tmp_path / "link", leave_out=()).files == [b"1", b"site-packages/2"]


def test_a_path_may_be_one_file(tree: Path) -> None:
    listing = list_files(tree / "b" / "1", leave_out=())
    assert (listing.root, listing.files) == (os.fsencode((tree / "b").resolve()), [b"1"])


def test_the_manifest_is_left_out(tree: Path) -> None:
    assert b"z" not in list_files(tree, leave_out=[(tree / "z").resolve()]).files


def test_names_need_not_be_unicode(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff\n")).touch()
    assert list_files(tmp_path, leave_out=()).files == [b"\xff\n"]


def test_a_directory_that_cannot_be_listed_is_reported(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: bytes) -> object:
        if path.endswith(b"a.d"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    listing = list_files(tree, leave_out=())
    assert b"a.d/3" not in listing.files
    assert [error.filename for error in listing.unlisted] == [os.fsencode(tree.resolve() / "a.d")]


def test_by_default_it_is_the_standard_library_without_what_was_installed_there() -> None:
    listing = list_files(None, leave_out=())
    assert listing.root == os.fsencode(Path(sysconfig.get_path("stdlib")).resolve())
    assert b"os.py" in listing.files
    assert not [file for file in listing.files if file.startswith((b"site-packages/", b"dist-packages/"))]
