"""The queue: where jobs are, by libpq's environment (PGHOST, PGDATABASE, ...)."""

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector(), import_paths=["shop.tasks"])
