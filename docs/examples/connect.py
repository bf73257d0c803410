"""Open, close, replace and join a connection."""

import asyncio

import pq_core as pq

app = pq.App(connector=pq.InMemoryConnector())


@app.task
def add(a: int, b: int) -> int:
    return a + b


# Sync: opened when first needed; closed at the end of the block.
with app.open():
    app.migrate()
    add.defer(3, 5)


# Async: the same verbs, ending in _async.
async def main() -> None:
    async with app.open_async():
        assert (await app.check_async()).current
        await add.defer_async(3, 5)


asyncio.run(main())

# In a test: keep jobs elsewhere for a while.
with app.replace_connector(pq.InMemoryConnector()) as memory:
    add.defer(3, 5)
    assert [job.args for job in memory.jobs.values()] == [{"a": 3, "b": 5}]

# In a transaction of yours: the jobs are there if, and only if, it commits.
memory = pq.InMemoryConnector()
with app.replace_connector(memory):
    with memory.transaction() as connection:
        add.configure(connection=connection).defer(3, 5)
        assert memory.jobs == {}
    assert len(memory.jobs) == 1
