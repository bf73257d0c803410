"""`pq health`: how queues, workers and tables are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import typer

from pq_cli.options import AppPath, AsJson, Dsn, Schema
from pq_cli.output import moment, shown, write_json

if TYPE_CHECKING:  # see main
    from pq_core.health import Health


def health(*, app: AppPath = None, dsn: Dsn = None, schema: Schema = None, as_json: AsJson = False) -> None:
    """Say how queues, workers and tables are, and what of that somebody should look into.

    The exit code is 1 if there is such a thing.
    """
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        found = opened.health()
    data = _data(found)
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


def _data(found: Health) -> dict[str, Any]:
    """Return it as JSON shows it: times as ISO 8601 in UTC, ages in seconds."""
    import attrs

    data = attrs.asdict(found, value_serializer=lambda _, __, value: _plain(value))
    return {**data, "findings": found.findings}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value
