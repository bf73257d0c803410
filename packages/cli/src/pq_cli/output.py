"""What commands write: data to standard output, as text or JSON; all else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import typer

if TYPE_CHECKING:  # see main
    import attrs

    from pq_core.explain import Explanation
    from pq_core.job import Job


def write_json(value: Any) -> None:
    """Write a value as JSON, in ASCII, so that no terminal or pipe can spoil it."""
    typer.echo(json.dumps(value, indent=2))


def note(text: str) -> None:
    """Tell the user something that is not data."""
    typer.echo(text, err=True)


def write_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write rows: on a terminal as a table, else as lines with tabs, the header first."""
    lines = [[shown(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (header, *lines):
            typer.echo("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=None, header_style="bold")
    for line in lines:
        table.add_row(*map(Text, line))
    Console().print(table)


def shown(value: object) -> str:
    """Return a value as text of one line that leaves the terminal alone: jobs hold what anybody wrote into them."""
    if value is None:
        return "-"
    text = moment(value) if isinstance(value, datetime) else str(value)
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def moment(value: datetime) -> str:
    """Return a time in UTC, as ISO 8601."""
    return value.astimezone(UTC).isoformat()


def job_data(job: Job) -> dict[str, Any]:
    """Return a job as JSON shows it: every field, times as ISO 8601 in UTC."""
    import attrs

    data = attrs.asdict(job, recurse=False)
    data["state"] = str(job.state)
    return {name: moment(value) if isinstance(value, datetime) else value for name, value in data.items()}


def explanation_data(explanation: Explanation) -> dict[str, Any]:
    """Return why a job does not run as JSON shows it: each cause with its kind, its sentence and what else is known."""
    causes = [{"kind": type(cause).__name__, "text": str(cause), **plain_data(cause)} for cause in explanation.causes]
    return {"id": explanation.job.id, "state": str(explanation.job.state), "causes": causes}


def plain_data(value: attrs.AttrsInstance) -> dict[str, Any]:
    """Return the fields of a value as JSON shows them: times as ISO 8601 in UTC, lengths of time in seconds."""
    import attrs

    return attrs.asdict(value, value_serializer=lambda _, __, field: _plain(field))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value
