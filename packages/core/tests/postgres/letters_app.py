"""The app of test_letters.py: each job writes one letter of one line, after a nap of random length."""

from __future__ import annotations

import os
import random
import time

import psycopg

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector(os.environ.get("LETTERS_DSN", "")))


@app.task
def write(line: int, letter: str) -> None:
    """Read what the line has, nap, and write it back with one letter more: two at once would lose one."""
    with psycopg.connect(os.environ["LETTERS_DSN"], autocommit=True) as connection:
        row = connection.execute("select letters from lines where line = %s", [line]).fetchone()
        assert row is not None
        time.sleep(random.random() / 100)
        connection.execute("update lines set letters = %s where line = %s", [f"{row[0]}{letter}", line])


if __name__ == "__main__":
    app.run_worker(concurrency=4, poll_interval=0.5)
