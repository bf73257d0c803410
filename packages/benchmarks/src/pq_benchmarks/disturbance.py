"""How much of the machine went to something else while something was measured."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import psutil


def disturbance_meter(servers_cpu: Callable[[], float]) -> Callable[[], float]:
    """Start a meter; what is returned reads it, when all processes started since then have ended.

    It reads the share of the machine's CPU time, from 0 to 1, that neither this process and its children took, nor the
    servers: other programs, the kernel's own work, and what the host gave to other guests.

    Args:
        servers_cpu: reads the CPU seconds that all processes of the servers have taken so far.
    """

    def read() -> tuple[float, float, float]:
        return time.monotonic(), _busy_seconds(), _own_seconds() + servers_cpu()

    before = read()

    def share() -> float:
        elapsed, busy, own = (after - then for after, then in zip(read(), before, strict=True))
        return max(0.0, busy - own) / max(elapsed * (psutil.cpu_count() or 1), 1e-9)

    return share


def _busy_seconds() -> float:
    """Return the time in which any CPU of this machine was not its own to be idle in."""
    times = psutil.cpu_times()
    kinds = ("user", "nice", "system", "irq", "softirq", "steal")
    return float(sum(getattr(times, kind, 0.0) for kind in kinds))


def _own_seconds() -> float:
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)
