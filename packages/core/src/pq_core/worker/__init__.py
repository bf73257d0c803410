"""The worker: each loop its own small room.

`worker` opens and closes the rooms, `dispatcher` claims jobs for the `slots` that run them, `executor` turns a run into
an outcome, `writer` stores outcomes, `keeper` keeps the lease and gives back the jobs of the dead.
"""

from pq_core.worker.options import WorkerOptions
from pq_core.worker.worker import Worker

__all__ = ["Worker", "WorkerOptions"]
