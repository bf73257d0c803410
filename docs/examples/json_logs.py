"""Logs as lines of JSON, for a machine to read."""

import io
import json
import logging

import pq_core as pq

FIELDS = ("action", "job", "worker", "seconds", "retry_in")


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"at": record.created, "level": record.levelname, "message": record.getMessage()}
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


output = io.StringIO()  # sys.stderr, in your program
handler = logging.StreamHandler(output)
handler.setFormatter(JsonLines())
logging.getLogger("pq_core").addHandler(handler)
logging.getLogger("pq_core").setLevel(logging.INFO)

app = pq.App(connector=pq.InMemoryConnector())


@app.task(name="pay")
def pay(card: str) -> None: ...


pay.defer(card="4111 1111 1111 1111")
app.run_worker(wait=False, name="till")

records = [json.loads(line) for line in output.getvalue().splitlines()]
assert [record["action"] for record in records] == ["worker_started", "job_succeeded", "worker_stopped"]
assert records[1]["job"]["task"] == "pay"
assert records[1]["message"] == "Job pay[1](card=...) succeeded"
