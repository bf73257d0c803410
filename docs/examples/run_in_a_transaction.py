"""Money that moves once, whatever dies. Needs PostgreSQL, found by libpq's environment (PGHOST, ...)."""

import asyncio

import psycopg

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector())


@app.task
def tell(account: int) -> None: ...


@app.task(delivery="transactional", pass_context=True)
def move(context: pq.JobContext, source: int, target: int, amount: int) -> None:
    connection = context.connection  # in a transaction, which ends with the job
    connection.execute("update accounts set balance = balance - %s where id = %s", [amount, source])
    connection.execute("update accounts set balance = balance + %s where id = %s", [amount, target])
    tell.configure(connection=connection).defer(account=target)


@app.task(delivery="transactional", pass_context=True, retry=2)
async def move_async(context: pq.JobContext, source: int, target: int, amount: int) -> None:
    connection = context.connection
    await connection.execute("update accounts set balance = balance - %s where id = %s", [amount, source])
    if context.job.attempt == 1:
        raise ConnectionError("and the update above is undone")
    await connection.execute("update accounts set balance = balance + %s where id = %s", [amount, target])


with app.open(), psycopg.connect(autocommit=True) as session:
    app.migrate()
    session.execute("create table accounts (id int primary key, balance int)")
    session.execute("insert into accounts values (1, 100), (2, 100)")
    move.defer(source=1, target=2, amount=30)
    move_async.defer(source=1, target=2, amount=5)
    asyncio.run(app.run_worker_async(wait=False))

    balances = session.execute("select balance from accounts order by id").fetchall()
    assert balances == [(65,), (135,)]
    assert len(app.jobs.find(task=tell)) == 1
    print(*app.jobs.find(), sep="\n")
