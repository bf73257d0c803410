from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pq_testing.postgres import DevServer

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]


@pytest.fixture
def project() -> Iterator[Path]:
    """A project that the server's user can reach, with an app that connects by libpq's variables."""
    path = Path(tempfile.mkdtemp(prefix="pq-test-", dir="/tmp"))
    path.chmod(0o755)
    (path / "mycode.py").write_text(
        "import pq_core as pq\n"
        "app = pq.App(connector=pq.PsycopgConnector())\n"
        "@app.task(name='one')\n"
        "def one(): return 1\n"
    )
    yield path
    server = DevServer(path)
    server.down()
    shutil.rmtree(server.place, ignore_errors=True)
    shutil.rmtree(path)


def test_the_dsn_it_writes_is_all_that_other_commands_need(shell: Any, project: Path) -> None:
    told = shell.run("dev")
    dsn = told.stdout.strip()
    assert "pq dev stop" in told.stderr
    assert shell.run("dev", "status").stdout.strip() == dsn
    shell.environ["PQ_DSN"] = dsn
    shell.run("defer", "one")
    shell.run("worker", "--once")
    assert shell.run("dev").stdout.strip() == dsn
    shell.run("dev", "stop")
    shell.run("dev", "status", code=1)
    shell.run("jobs", "list", code=4)
    assert shell.run("dev").stdout.strip() == dsn
    assert json.loads(shell.run("jobs", "show", "1", "--json").stdout)["result"] == 1


def test_as_json_each_of_its_commands_writes_an_object(shell: Any, project: Path) -> None:
    began = json.loads(shell.run("dev", "--json", "--schema", "mine").stdout)
    assert began["applied"][0] == "0001_initial"
    with psycopg.connect(began["dsn"]) as connection:
        assert connection.execute("select to_regclass('mine.jobs') is not null").fetchone() == (True,)
    place = {"directory": str(project), "running": True, "dsn": began["dsn"]}
    assert began == place | {"applied": began["applied"]}
    assert json.loads(shell.run("dev", "status", "--json").stdout) == place
    assert json.loads(shell.run("dev", "stop", "--json").stdout) == {
        "directory": str(project),
        "running": False,
        "stopped": True,
    }
    assert json.loads(shell.run("dev", "status", "--json", code=1).stdout) == place | {"running": False, "dsn": None}


def test_the_variables_it_writes_are_all_that_a_program_needs(shell: Any, project: Path) -> None:
    told = shell.run("dev", "--env").stdout
    script = f"{told}\n{shlex.quote(sys.executable)} -c 'from mycode import one; print(one.defer())'"
    done = subprocess.run(
        ["sh", "-c", script], cwd=project, env=shell.environ, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.stdout == "1\n", done.stderr


def test_it_may_be_started_from_elsewhere(shell: Any, project: Path, tmp_path: Path) -> None:
    shell.cwd = tmp_path
    shell.run("dev", "--directory", str(project))
    assert (project / ".pq").is_dir()
    assert not (tmp_path / ".pq").exists()
    shell.run("dev", "stop", "-C", str(project))
    shell.run("dev", "status", "-C", str(project), code=1)
