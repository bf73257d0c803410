"""`pq workers`: who is there."""

from __future__ import annotations

from typing import Annotated

import typer

from pq_cli.options import AppPath, AsJson, Dsn, Schema
from pq_cli.output import moment, write_json, write_table


def workers(
    *,
    alive: Annotated[bool, typer.Option("--alive", help="Only those whose lease has not run out.")] = False,
    app: AppPath = None,
    dsn: Dsn = None,
    schema: Schema = None,
    as_json: AsJson = False,
) -> None:
    """List the workers that are known, the longest there first.

    A worker that was lost is listed until another one gives its jobs back.
    """
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        found = [worker for worker in opened.workers() if worker.alive or not alive]
    if as_json:
        write_json(
            [
                {
                    "id": worker.info.id,
                    "name": worker.info.name,
                    "queues": None if worker.info.queues is None else list(worker.info.queues),
                    "details": dict(worker.info.details),
                    "started_at": moment(worker.started_at),
                    "heartbeat_at": moment(worker.heartbeat_at),
                    "lease_until": moment(worker.lease_until),
                    "alive": worker.alive,
                    "running": worker.running,
                }
                for worker in found
            ]
        )
        return
    rows = [
        [
            worker.info.id,
            worker.info.name,
            "alive" if worker.alive else "lost",
            worker.running,
            "all" if worker.info.queues is None else ",".join(worker.info.queues),
            worker.info.details.get("host"),
            worker.info.details.get("pid"),
            worker.started_at,
            worker.lease_until,
        ]
        for worker in found
    ]
    write_table(["id", "name", "state", "running", "queues", "host", "pid", "started_at", "lease_until"], rows)
