"""What the documentation says of psql and of other languages, with these themselves, where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

EXAMPLES = Path(__file__).parents[4] / "docs" / "examples"
VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
NODE_MODULES = "PQ_NODE_MODULES"
"""Environment variable that names a directory in which `npm install pg` has put its modules."""


def run(dsn: str, *command: str, directory: Path) -> str:
    parts = conninfo_to_dict(dsn)
    environment = os.environ | {VARIABLES[key]: str(value) for key, value in parts.items() if key in VARIABLES}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
def test_psql_runs_the_file_and_its_trigger_defers(dsn: str, session: psycopg.Connection, tmp_path: Path) -> None:
    run(dsn, "psql", "-v", "ON_ERROR_STOP=1", "--file", str(EXAMPLES / "defer_with_plain_sql.sql"), directory=tmp_path)
    session.execute("insert into public.orders values (7, 'ada')")
    found = session.execute("select task, args::text, lock from jobs where queue = 'shipping'").fetchall()
    assert [(task, args.replace(" ", ""), lock) for task, args, lock in found] == [
        ("shop.ship", '{"order":7}', "customer ada")
    ]


if NODE_MODULES in os.environ:  # as `nox -s node` does

    def test_node_defers_in_its_transaction(dsn: str, session: psycopg.Connection, tmp_path: Path) -> None:
        (tmp_path / "node_modules").symlink_to(os.environ[NODE_MODULES])
        program = shutil.copy(EXAMPLES / "defer_with_node.mjs", tmp_path)
        assert run(dsn, "node", str(program), directory=tmp_path) == "job 1 is deferred\n"
        found = session.execute("select task, args::text, queue, priority from jobs").fetchall()
        assert found == [("shop.ship", '{"order":8}', "shipping", 5)]


def test_the_order_of_arguments_on_the_page_is_that_of_the_function(session: psycopg.Connection) -> None:
    page = (EXAMPLES.parent / "how-to" / "defer-with-plain-sql.md").read_text(encoding="utf-8")
    sentence = page.split("The arguments, in order:")[1].split(". Name those")[0]
    shown = [word.strip("`") for word in sentence.replace(",", " ").split() if word.startswith("`")]
    query = "select proargnames from pg_proc where proname = 'defer' and pronamespace = 'pq'::regnamespace"
    ((names,),) = session.execute(query).fetchall()
    assert shown == names[: len(shown)]
