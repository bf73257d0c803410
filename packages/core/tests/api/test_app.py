"""An app, its connector, and what it imports."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import pq_core as pq


@pytest.fixture
def memory() -> pq.InMemoryConnector:
    return pq.InMemoryConnector()


@pytest.fixture
def app(memory: pq.InMemoryConnector) -> pq.App:
    return pq.App(connector=memory)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory to import from."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_jobs_go_elsewhere_while_the_connector_is_replaced(app: pq.App, memory: pq.InMemoryConnector) -> None:
    task = app.task(name="t")(lambda: None)
    with app.replace_connector(pq.InMemoryConnector()) as other:
        assert app.connector is other
        task.defer()
        in_thread = threading.Thread(target=task.defer)
        in_thread.start()
        in_thread.join()
        assert app.jobs.count()[pq.State.READY] == 2
    assert len(other.jobs) == 2
    assert memory.jobs == {}
    assert app.connector is memory


def test_the_connector_comes_back_after_an_error(app: pq.App, memory: pq.InMemoryConnector) -> None:
    with pytest.raises(ZeroDivisionError), app.replace_connector(pq.InMemoryConnector()):
        raise ZeroDivisionError
    assert app.connector is memory


@pytest.mark.parametrize("connector", [None, "postgresql://", pq.InMemoryConnector])
def test_what_is_no_connector_is_refused(app: pq.App, connector: Any) -> None:
    with pytest.raises(pq.InvalidOption, match=r"connector .* is none"):
        pq.App(connector=connector)
    with pytest.raises(pq.InvalidOption, match=r"connector .* is none"), app.replace_connector(connector):
        pass


@pytest.mark.parametrize("opened", ["app.open()", "app"])
def test_leaving_the_context_closes(app: pq.App, opened: str) -> None:
    task = app.task(name="t")(lambda: None)
    with app.open() if opened == "app.open()" else app as entered:
        assert entered is app
        task.defer()
    with pytest.raises(pq.ConnectorClosed):
        task.defer()


@pytest.mark.parametrize("opened", ["app.open_async()", "app"])
def test_leaving_the_async_context_closes(app: pq.App, opened: str) -> None:
    async def main() -> None:
        task = app.task(name="t")(lambda: None)
        async with app.open_async() if opened == "app.open_async()" else app as entered:
            assert entered is app
            await task.defer_async()
        with pytest.raises(pq.ConnectorClosed):
            await task.defer_async()

    anyio.run(main)


def test_open_and_close_work_bare(app: pq.App) -> None:
    async def main() -> None:
        assert await app.open_async() is app
        await app.close_async()
        with pytest.raises(pq.ConnectorClosed):
            await app.jobs.find_async()

    assert app.open() is app
    app.close()
    with pytest.raises(pq.ConnectorClosed):
        app.jobs.find()
    app.open()
    assert app.jobs.find() == []
    anyio.run(main)


def test_migrating_and_checking_need_no_open(app: pq.App) -> None:
    async def main() -> None:
        await app.migrate_async()
        assert (await app.check_async()).current

    app.migrate()
    assert app.check().current
    anyio.run(main)


def test_import_paths_are_imported_when_tasks_are_looked_up(project: Path) -> None:
    (project / "shop_app.py").write_text(
        "import pq_core as pq\napp = pq.App(connector=pq.InMemoryConnector(), import_paths=['shop_tasks'])\n"
    )
    (project / "shop_tasks.py").write_text("from shop_app import app\n@app.task\ndef sell(): ...\n")
    app = pq.App.from_path("shop_app:app")
    assert "shop_tasks" not in sys.modules
    assert list(app.tasks) == ["shop_tasks.sell"]
    assert app.configure_task("shop_tasks.sell", allow_unknown=False).defer() == 1


def test_an_import_path_without_a_module_is_refused(memory: pq.InMemoryConnector) -> None:
    for missing in ("nowhere_at_all", "nowhere_at_all.tasks", "json.nowhere"):
        with pytest.raises(pq.InvalidOption, match=f"there is no module '{missing}'"):
            pq.App(connector=memory, import_paths=[missing]).perform_import_paths()
    with pytest.raises(pq.InvalidOption, match=r"give a list: \['json'\]"):
        pq.App(connector=memory, import_paths="json")


def test_an_error_in_an_imported_module_comes_through_each_time(project: Path, memory: pq.InMemoryConnector) -> None:
    (project / "broken_shop.py").write_text("import not_installed_at_all\n")
    app = pq.App(connector=memory, import_paths=["broken_shop"])
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="not_installed_at_all"):
            app.perform_import_paths()


@pytest.mark.parametrize("path", ["shops.north.app", "shops.north:app", "shops.north:inside.app"])
def test_an_app_is_found_by_its_path(project: Path, path: str) -> None:
    (project / "shops").mkdir()
    (project / "shops" / "north.py").write_text(
        "import types, pq_core as pq\napp = pq.App(connector=pq.InMemoryConnector())\n"
        "inside = types.SimpleNamespace(app=app)\n"
    )
    assert pq.App.from_path(path) is sys.modules["shops.north"].app


@pytest.mark.parametrize(
    "path,why",
    [
        ("app", "it looks like 'package.module:app'"),
        ("", "it looks like"),
        (":app", "it looks like"),
        ("json:", "it looks like"),
        ("..json:app", "it looks like"),
        ("js on:app", "it looks like"),
        ("nowhere_at_all:app", "cannot be imported: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("json:app", "module 'json' has no 'app'"),
        ("json.app", "module 'json' has no 'app'"),
        ("json:dumps", "is a function, not an App"),
    ],
)
def test_a_path_that_leads_to_no_app_says_why(path: str, why: str) -> None:
    with pytest.raises(pq.AppNotFound, match=why):
        pq.App.from_path(path)


def test_a_module_that_breaks_is_the_cause(project: Path) -> None:
    (project / "breaking_shop.py").write_text("1 / 0\n")
    with pytest.raises(pq.AppNotFound, match="cannot be imported: ZeroDivisionError") as refusal:
        pq.App.from_path("breaking_shop:app")
    assert isinstance(refusal.value.__cause__, ZeroDivisionError)


def test_a_worker_takes_its_options_from_the_call_then_from_the_defaults(memory: pq.InMemoryConnector) -> None:
    app = pq.App(connector=memory, worker_defaults={"queues": ["a"], "wait": False, "install_signal_handlers": False})
    ran: list[str] = []

    @app.task(name="t")
    def task(queue: str) -> None:
        ran.append(queue)

    for queue in ("a", "b"):
        task.configure(queue=queue).defer(queue)
    app.run_worker()
    assert ran == ["a"]
    anyio.run(lambda: app.run_worker_async(queues=["b"]))
    assert ran == ["a", "b"]
