"""Structured logs: every record carries `action`, a word to search by, beside the fields that belong to it.

The message is for people. A job's arguments stay out of both, unless a worker is told ``log_arguments=True``.
"""

from __future__ import annotations

from typing import Any

from pq_core.job import Job


def fields(action: str, **values: Any) -> dict[str, Any]:
    """Return the `extra` of a log record."""
    return {"action": action, **values}


def job_fields(job: Job, *, arguments: bool = False) -> dict[str, Any]:
    """Return what a log record says of a job; its arguments only if asked."""
    described: dict[str, Any] = {
        "id": job.id,
        "task": job.task,
        "queue": job.queue,
        "priority": job.priority,
        "lock": job.lock,
        "attempt": job.attempt,
        "claim": job.claim,
    }
    if arguments:
        described["args"] = job.args
    return described


def call_text(job: Job, *, arguments: bool = False) -> str:
    """Return a job as a call, such as ``mail.send[12](to=..., body=...)``: values of arguments only if asked."""
    shown = ", ".join(f"{name}={value!r}" if arguments else f"{name}=..." for name, value in job.args.items())
    return f"{job.task}[{job.id}]({shown})"
