"""How many processors this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def usable_processors() -> int:
    """Return as many as it may run on, and not more than its control group may keep busy, as a container's limit says.

    The limits of version 2 of control groups are known; part of a processor counts as one.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        allowed = os.cpu_count() or 1
    return max(1, min([allowed, *_quotas()]))


def _quotas() -> list[int]:
    """Return the limits of the group of this process, and of those above it."""
    try:
        lines = OWN_GROUP.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    group = CONTROL_GROUPS / own.lstrip("/")
    found = [_quota(each / "cpu.max") for each in (group, *group.parents) if each.is_relative_to(CONTROL_GROUPS)]
    return [quota for quota in found if quota is not None]


def _quota(file: Path) -> int | None:
    """Return what `file` says, rounded up: "150000 100000" are microseconds of CPU per so many of time; or "max"."""
    try:
        limit, period = file.read_text(encoding="ascii").split()
        return math.ceil(int(limit) / int(period))
    except (OSError, ValueError):
        return None
