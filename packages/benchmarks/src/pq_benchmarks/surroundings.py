"""When, on what, and of which version figures were taken; nothing that names the machine."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from pathlib import Path

import psutil

from pq_benchmarks.server import SETTINGS, BenchServer
from pq_benchmarks.stage import Sizes


def describe(server: BenchServer, sizes: Sizes) -> dict[str, str]:
    """Return what a reader must know, by heading."""
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "profile": _profile(sizes),
        "machine": f"{os.cpu_count()} CPUs, {psutil.virtual_memory().total / 2**30:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, load {os.getloadavg()[0]:.1f} at the start",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "PostgreSQL": f"{server.version}, data on {server.filesystem}, unix socket; "
        + ", ".join(f"{name} = {value}" for name, value in SETTINGS.items()),
    }


def _profile(sizes: Sizes) -> str:
    name = "quick; what grows is smaller than in the full profile" if sizes.quick else "full"
    rounds = "1 round" if sizes.rounds == 1 else f"{sizes.rounds} rounds"
    return f"{name}; {sizes.jobs:,} jobs a drain, {rounds}"


def _commit() -> str:
    """Return the commit of the sources, with a mark if they were changed since."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()
