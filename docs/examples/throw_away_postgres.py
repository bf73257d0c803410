"""A server for tests, a database of its own for each of them, and a crash."""

import psycopg

from pq_testing.postgres import Server


def make_tables(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("create table orders (id int primary key)")


with Server.start() as server:
    # Prepared once; each test then gets a copy in some ten milliseconds.
    template = server.template("tables of version 1", make_tables)
    for order in range(1, 4):
        with server.fresh_database(template=template) as dsn, psycopg.connect(dsn) as connection:
            connection.execute("insert into orders values (%s)", [order])

    # What does your program do while the database is away, and when it comes back?
    server.crash()
    assert not server.running
    server.restart()
    psycopg.connect(server.dsn()).close()
    print(server.version)
