from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

from pq_benchmarks.scenarios.distance import proxy


def test_a_byte_comes_back_a_round_trip_later_and_a_million_no_later_than_that(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / ".s.PGSQL.5432"))
    listener.listen()
    echoing = threading.Thread(target=echo, args=(listener,))
    echoing.start()
    with proxy(f"host={tmp_path} port=5432 dbname=any", 40.0) as dsn:
        port = int(dict(part.split("=") for part in dsn.split())["port"])
        with socket.create_connection(("127.0.0.1", port)) as near:
            assert 0.04 <= seconds(near, 1) < 0.4
            assert 0.04 <= seconds(near, 1_000_000) < 1.0
    echoing.join()
    listener.close()


def echo(listener: socket.socket) -> None:
    far, _ = listener.accept()
    with far:
        while chunk := far.recv(1 << 16):
            far.sendall(chunk)


def seconds(near: socket.socket, size: int) -> float:
    began = time.monotonic()
    sender = threading.Thread(target=near.sendall, args=(b"-" * size,))
    sender.start()
    received = 0
    while received < size:
        received += len(near.recv(1 << 16))
    sender.join()
    return time.monotonic() - began
