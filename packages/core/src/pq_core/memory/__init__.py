"""Jobs in memory, by the same rules as on PostgreSQL.

The rules are operations, frozen values that `pq_core.memory.store.apply` carries out on a store; nothing in them waits,
reads a clock or knows a thread. `engine` puts a lock, a clock and bells around that; its two faces are `connector` and
`sync_connector`.
"""

from pq_core.memory.connector import InMemoryConnector
from pq_core.memory.sync_connector import SyncInMemoryConnector
from pq_core.memory.transaction import MemoryTransaction

__all__ = ["InMemoryConnector", "MemoryTransaction", "SyncInMemoryConnector"]
