"""The program that runs is not to be imported a second time: it would make a second app."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


HEAD = "import pq_core as pq\napp = pq.App(connector=pq.InMemoryConnector(), import_paths={paths})\n"
TASK = "@app.task\ndef sell(): ...\n"


@pytest.mark.parametrize("arguments", [("shop.py",), ("-m", "shop")])
def test_a_task_in_the_program_is_named_as_others_would_import_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "shop.py").write_text(HEAD.format(paths=[]) + TASK + "print(sell.name)\n")
    done = run(tmp_path, *arguments)
    assert done.stdout.strip() == "shop.sell", done.stderr


def test_a_task_in_a_package_that_runs_is_named_with_the_package(tmp_path: Path) -> None:
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "north.py").write_text(HEAD.format(paths=[]) + TASK + "print(sell.name)\n")
    done = run(tmp_path, "-m", "shops.north")
    assert done.stdout.strip() == "shops.north.sell", done.stderr


def test_a_task_typed_at_the_prompt_is_named_main(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", HEAD.format(paths=[]) + TASK + "print(sell.name)\n")
    assert done.stdout.strip() == "__main__.sell", done.stderr


@pytest.mark.parametrize("arguments", [("shop.py",), ("-m", "shop")])
@pytest.mark.parametrize(
    "last", ["app.perform_import_paths()", "pq.App.from_path('shop:app')", "app.run_worker(wait=False)"]
)
def test_a_program_that_imports_itself_is_told_to_move_the_app(
    tmp_path: Path, arguments: tuple[str, ...], last: str
) -> None:
    (tmp_path / "shop.py").write_text(HEAD.format(paths=["shop"]) + TASK + last + "\n")
    done = run(tmp_path, *arguments)
    assert done.returncode == 1
    assert "InvalidOption: module 'shop' is the program that runs, as __main__" in done.stderr
    assert "put the App into a module of its own" in done.stderr


def test_a_program_that_its_tasks_import_is_told_to_move_the_app(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(HEAD.format(paths=["shop_tasks"]) + "print(len(app.tasks))\n")
    (tmp_path / "shop_tasks.py").write_text("from shop import app\n" + TASK)
    done = run(tmp_path, "shop.py")
    assert done.returncode == 1
    assert "InvalidOption: module 'shop' is the program that already runs as __main__" in done.stderr


def test_an_app_in_a_module_of_its_own_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "shop_app.py").write_text(HEAD.format(paths=["shop_tasks"]))
    (tmp_path / "shop_tasks.py").write_text("from shop_app import app\n" + TASK)
    (tmp_path / "shop.py").write_text("from shop_app import app\nprint(*app.tasks)\n")
    done = run(tmp_path, "shop.py")
    assert done.stdout.strip() == "shop_tasks.sell", done.stderr


def test_a_spawned_process_may_import_the_program(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        HEAD.format(paths=[])
        + TASK
        + "if __name__ == '__main__':\n"
        + "    import multiprocessing\n"
        + "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        + "        print(pool.apply(len, ('abc',)))\n"
    )
    done = run(tmp_path, "shop.py")
    assert done.stdout.strip() == "3", done.stderr
