"""A wire of some length: ``python -m pq_benchmarks.proxy SOCKET MILLISECONDS``.

Listens on a TCP port of this host, which it prints, and passes all on to PostgreSQL's unix socket and back. Each byte
comes out half of that time after it went in, in either direction, and no fewer bytes pass than without it. It ends with
its standard input.

Threads that sleep are on time to a tenth of a millisecond; the timers of an event loop only to one.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time

_CHUNK = 1 << 18


def main(path: str, delay: float) -> None:
    """Pass connections on, each byte `delay` seconds late in each direction."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    print(listener.getsockname()[1], flush=True)
    while True:
        near, _ = listener.accept()
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        far.connect(path)
        for one, other in ((near, far), (far, near)):
            chunks: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
            threading.Thread(target=_take_in, args=(one, chunks, delay), daemon=True).start()
            threading.Thread(target=_give_out, args=(other, chunks), daemon=True).start()


def _take_in(source: socket.socket, chunks: queue.SimpleQueue[tuple[float, bytes]], delay: float) -> None:
    chunk = b"-"
    while chunk:
        try:
            chunk = source.recv(_CHUNK)
        except OSError:
            chunk = b""
        chunks.put((time.monotonic() + delay, chunk))


def _give_out(target: socket.socket, chunks: queue.SimpleQueue[tuple[float, bytes]]) -> None:
    while True:
        due, chunk = chunks.get()
        if (early := due - time.monotonic()) > 0:
            time.sleep(early)
        try:
            if not chunk:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(chunk)
        except OSError:
            return


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main(sys.argv[1], float(sys.argv[2]) / 2e3)
