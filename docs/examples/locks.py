"""Four jobs of one lock write their letters in order, though the worker would run ten jobs at once."""

import random
import time

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector())
written: list[str] = []


@app.task
def write(letter: str) -> None:
    time.sleep(random.random() / 100)
    written.append(letter)


if __name__ == "__main__":
    app.migrate()
    for letter in "abcd":
        write.configure(lock="the page").defer(letter)
    app.run_worker(wait=False, concurrency=10)
    print("".join(written))
    assert written == ["a", "b", "c", "d"]
