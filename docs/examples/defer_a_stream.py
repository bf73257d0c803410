"""A file of twenty thousand lines becomes as many jobs, of which few are in memory at a time."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector())


@app.task
def send(to: str, letter: int) -> None: ...


def letters(file: Path) -> Iterator[dict[str, object]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def show(done: int) -> None:
    if done % 5_000 == 0:
        print(f"{done:,} jobs sent")


if __name__ == "__main__":
    app.migrate()
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "letters.jsonl")
        file.write_text("".join(f'{{"to": "you", "letter": {n}}}\n' for n in range(20_000)), encoding="utf-8")
        print(f"{send.defer_stream(letters(file), on_progress=show):,} jobs stored")

        # All or none: what goes wrong anywhere leaves nothing behind.
        with file.open("a", encoding="utf-8") as more:
            more.write('{"to": "nobody"}\n')
        try:
            send.defer_stream(letters(file))
        except pq.InvalidArguments as refused:
            print(refused)
            assert refused.index == 20_000
    assert sum(app.jobs.count().values()) == 20_000
