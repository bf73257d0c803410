"""The app of the tutorial."""

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector())


@app.task
def greet(name: str) -> str:
    return f"Hello, {name}!"


@app.task(retry=pq.RetryStrategy(max_attempts=3, wait=1, linear_wait=1), pass_context=True)
def unlucky(context: pq.JobContext) -> str:
    if context.job.attempt < 3:
        raise ConnectionError("nobody answered")
    return f"done at attempt {context.job.attempt}"


if __name__ == "__main__":
    with app.replace_connector(pq.InMemoryConnector()) as memory:
        first = greet.defer("Ada")
        app.run_worker(wait=False)
        assert memory.jobs[first].result == "Hello, Ada!"
        print(memory.jobs[first].result)
