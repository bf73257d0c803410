"""PostgreSQL as a backend of tests: found, shared by the workers of a run, emptied for each test.

`discovery` finds a server, `run_server` shares one between the workers of a run; `postgres` keeps jobs in a database on
it, through connectors (`connector`) that draw on one stock of connections (`stock`), and empties it (`reset`).
"""
