"""The app of test_own_processes.py: processes of their own import it, and so do the tests."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pq_core as pq


def shout(call_next: Callable[[], Any], context: pq.JobContext) -> Any:
    return {"middleware": os.getpid(), "result": call_next()}


app = pq.App(connector=pq.PsycopgConnector(os.environ.get("OWN_PROCESS_DSN", "")), middleware=[shout])
blueprint = pq.Blueprint()


class Refused(Exception):
    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Locked(Exception):
    def __init__(self) -> None:
        super().__init__("held by", threading.Lock())
        self.lock = threading.Lock()


@app.task(name="pid", executor="process")
def pid() -> int:
    return os.getpid()


@app.task(name="add", executor="process", pass_context=True)
def add(context: pq.JobContext, a: int, /, *, b: dict[str, Any]) -> dict[str, Any]:
    current = pq.current_context()
    assert current is context
    assert (context.should_stop(), context.stop_reason, context.state) == (False, None, None)
    return {"a": a, "b": b, "job": context.job.id, "worker": context.worker_name, "task": context.task.name}


@blueprint.task(name="own", aliases=["older"], executor="process")
def own() -> str:
    return "blueprint"


@app.task(name="refuse", executor="process", retry=pq.RetryStrategy(max_attempts=2, retry_exceptions=[Refused]))
def refuse() -> None:
    raise Refused(7, reason="full") from LookupError("no room")


@app.task(name="lock_up", executor="process")
def lock_up() -> None:
    raise Locked


@app.task(name="local", executor="process")
def local() -> None:
    class Local(Exception): ...

    raise Local("inside")


@app.task(name="leave", executor="process", retry=2)
def leave(how: str) -> None:
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="leave_once", executor="process", delivery="at_most_once")
def leave_once() -> None:
    os._exit(3)


@app.task(name="quit", executor="process")
def quit_() -> None:
    sys.exit(4)


@app.task(name="leave_a_child", executor="process")
def leave_a_child(place: str) -> None:
    child = os.fork()  # it has all that its parent has open, the pipe to the worker among it
    if child == 0:
        time.sleep(60)
    Path(place, "child").write_text(str(child))
    os._exit(5)


@app.task(name="opaque", executor="process", retry=5)
def opaque() -> object:
    return object()


@app.task(name="opaque_unstored", executor="process", store_result=False)
def opaque_unstored() -> object:
    return object()


@app.task(name="tell", executor="process", pass_context=True)
def tell(context: pq.JobContext) -> None:
    context.progress(0.5, "half")
    context.snooze({"hours": 1})


@app.task(name="defer_another", executor="process")
def defer_another() -> int:
    return pid.configure(schedule_in={"hours": 1}).defer()


@app.task(name="hold", executor="process")
def hold(place: str) -> str:
    began = Path(place, "began")
    began.with_suffix(".tmp").write_text(str(os.getpid()))
    began.with_suffix(".tmp").rename(began)
    while not Path(place, "go").exists():
        time.sleep(0.01)
    return "held"


@app.task(name="quick", executor="process", timeout=0.5)
def quick() -> str:
    return "in time"


@app.task(name="hold_briefly", executor="process", timeout=1.5)
def hold_briefly(place: str) -> str:
    return hold(place)


app.add_tasks_from(blueprint, namespace="lib")
time.sleep(float(os.environ.get("OWN_PROCESS_IMPORT_SECONDS", "0")))

if __name__ == "__main__":
    app.run_worker(concurrency=2, graceful_timeout=None)
