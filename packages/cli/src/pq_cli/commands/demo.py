"""`pq demo`: a real queue on a real PostgreSQL that does real work."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pq_cli.options import AsJson
from pq_cli.output import note, shown, write_json

if TYPE_CHECKING:  # see main
    from pq_cli.demo.show import Summary

SHOWN_FAILURES = 10


def demo(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", exists=True, help="What to hash.  [default: Python's standard library]"),
    ] = None,
    *,
    manifest: Annotated[
        Path, typer.Option("--manifest", "-o", metavar="FILE", help="Where to write what sha256sum -c reads.")
    ] = Path("pq-demo.sha256"),
    dsn: Annotated[
        str | None,
        typer.Option(
            metavar="DSN", help="Use this server, in a schema that is dropped at the end.  [default: start one]"
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=1_000, help="Jobs that run at the same time.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """See a real queue do real work: hash the files under PATH.

    There is one job per regular file, and one lock per directory. The demo starts a PostgreSQL and a worker, which end
    with it, and writes a manifest for sha256sum -c. Files that cannot be read are tried again, then reported.
    """
    from pq_cli.toolkit import postgres

    postgres()
    sys.dont_write_bytecode = True  # what is being hashed may be Python's own library
    signal.signal(signal.SIGTERM, _end)
    from pq_cli.demo.show import show

    output = manifest.resolve()
    summary = show(path, output, dsn=dsn, concurrency=concurrency)
    if as_json:
        write_json(_data(summary, output))
    else:
        _tell(summary, output)


def _end(number: int, _frame: Any) -> None:
    raise SystemExit(128 + number)


def _data(summary: Summary, output: Path) -> dict[str, Any]:
    return {
        "path": os.fsdecode(summary.listing.root),
        "manifest": str(output),
        "verify": os.fsdecode(_verify(summary, output)) if summary.jobs else None,
        "jobs": summary.jobs,
        "seconds": round(summary.seconds, 3),
        "jobs_per_second": _rate(summary),
        "retries": summary.retries,
        "failures": [
            {"path": os.fsdecode(each.file), "error": each.error, "attempts": each.attempts}
            for each in summary.failures
        ],
        "unlisted": [os.fsdecode(error.filename) for error in summary.listing.unlisted],
    }


def _tell(summary: Summary, output: Path) -> None:
    for error in summary.listing.unlisted:
        note(f"not listed: {shown(os.fsdecode(error.filename))}: {error.strerror}")
    for each in summary.failures[:SHOWN_FAILURES]:
        note(f"failed after {each.attempts} attempts: {shown(os.fsdecode(each.file))}: {shown(each.error)}")
    if len(summary.failures) > SHOWN_FAILURES:
        note(f"... and {len(summary.failures) - SHOWN_FAILURES} more failures")
    typer.echo(
        f"{summary.jobs} jobs in {summary.seconds:.2f} s, {_rate(summary)} jobs/s, "
        f"{summary.retries} retries, {len(summary.failures)} failures"
    )
    if summary.jobs > len(summary.failures):
        typer.echo("Check the manifest:")
        typer.echo(b"  " + _verify(summary, output))


def _verify(summary: Summary, output: Path) -> bytes:
    root, file = (shlex.quote(os.fsdecode(each)) for each in (summary.listing.root, output))
    return os.fsencode(f"cd {root} && sha256sum -c --quiet {file}")


def _rate(summary: Summary) -> int:
    return round(summary.jobs / summary.seconds) if summary.seconds else 0
