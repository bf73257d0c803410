"""Tasks in processes of their own: one that computes, one that is killed at its timeout, one that crashes."""

import os

import pq_core as pq

app = pq.App(connector=pq.InMemoryConnector())


@app.task(name="count_primes", executor="process")
def count_primes(below: int) -> int:
    return sum(all(number % divisor for divisor in range(2, number)) for number in range(2, below))


@app.task(name="hang", executor="process", timeout={"seconds": 1})
def hang() -> None:
    while True:
        pass


@app.task(name="crash", executor="process", retry=2)
def crash() -> None:
    os._exit(7)  # as a fault in a library written in C would


if __name__ == "__main__":
    counted, hung, crashed = count_primes.defer(1_000), hang.defer(), crash.defer()
    app.run_worker(wait=False, concurrency=3)

    assert app.jobs.get(counted).result == 168
    assert app.jobs.get(hung).errors[0]["type"] == "pq_core.errors.TaskTimedOut"
    assert [error["type"] for error in app.jobs.get(crashed).errors] == ["pq_core.errors.ProcessDied"] * 2
    assert app.jobs.get(crashed).errors[0]["message"].endswith("ended with exit code 7")
