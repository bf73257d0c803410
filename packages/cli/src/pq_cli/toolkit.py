"""The way to pq-testing, which `pq demo` and `pq dev` stand on, and which production does not carry."""

from __future__ import annotations

from types import ModuleType

from pq_cli.errors import ToolkitMissing


def postgres() -> ModuleType:
    """Return `pq_testing.postgres`.

    Raises:
        ToolkitMissing: it is not installed.
    """
    try:
        from pq_testing import postgres as module
    except ModuleNotFoundError as reason:
        if reason.name is not None and reason.name.partition(".")[0] == "pq_testing":
            raise ToolkitMissing("`pq demo` and `pq dev` need pq-testing: pip install 'pq-cli[dev]'") from reason
        raise
    return module
