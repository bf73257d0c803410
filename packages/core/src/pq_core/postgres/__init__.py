"""Jobs in PostgreSQL: the rules are SQL functions (functions/); Python builds statements, runs them and reads answers.

`statements` says what to ask, as values; `connector` and `sync_connector` are the two colours that run them;
`schema` installs and upgrades; `faults` translates errors.
"""

from __future__ import annotations

from pq_core.postgres.connector import PsycopgConnector

__all__ = ["PsycopgConnector"]
