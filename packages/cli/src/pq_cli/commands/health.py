"""`pq health`: how queues, workers and tables are."""

from __future__ import annotations

import typer

from pq_cli.options import AppPath, AsJson, Dsn, Schema
from pq_cli.output import plain_data, shown, write_json


def health(*, app: AppPath = None, dsn: Dsn = None, schema: Schema = None, as_json: AsJson = False) -> None:
    """Say how queues, workers and tables are, and what of that somebody should look into.

    The exit code is 1 if there is such a thing.
    """
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        found = opened.health()
    data = {**plain_data(found), "findings": found.findings}
    if as_json:
        write_json(data)
    else:
        for name, value in data.items():
            if not isinstance(value, list):
                typer.echo(f"{name:<14}{shown(value)}")
        for queue in found.queues:
            said = "paused" if queue.paused else "served" if queue.served else "served by nobody"
            typer.echo(f"queue {shown(queue.name)}: {said}, has waited since {shown(queue.since)}")
        for pin in found.pins:
            typer.echo(f"keeps vacuum back: {shown(pin)}" + ("" if pin.age is None else f", for {shown(pin.age)}"))
        for finding in found.findings:
            typer.echo(f"! {shown(finding)}")
    raise typer.Exit(1 if found.findings else 0)
