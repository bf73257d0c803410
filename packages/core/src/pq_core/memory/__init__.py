"""Jobs in memory, by the same rules as on PostgreSQL.

The rules are operations, frozen values that `pq_core.memory.store.apply` carries out on a store; nothing in them waits,
reads a clock or knows a thread. `engine` puts a lock, a clock and bells around that, `connector` gives it two faces.
"""

from pq_core.memory.connector import InMemoryConnector, SyncInMemoryConnector
from pq_core.memory.transaction import MemoryTransaction

__all__ = ["InMemoryConnector", "MemoryTransaction", "SyncInMemoryConnector"]
