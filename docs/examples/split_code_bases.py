"""A shop that defers jobs for a press whose code it does not have."""

import pq_core as pq

database = pq.InMemoryConnector()  # in production: a PsycopgConnector in each program

# The shop knows the names of the press's tasks.
shop = pq.App(connector=database)
print_book = shop.configure_task("press.print_book", queue="press", priority=5)
print_book.defer(title="Notes", copies=3)
shop.configure_task("press.bind").defer(title="Notes")  # under its former name

# The press has the code.
press = pq.App(connector=database)
done: list[str] = []


@press.task(name="press.print_book")
def print_pages(title: str, copies: int) -> None:
    done.append(f"{copies} x {title}")


@press.task(name="press.bind_book", aliases=["press.bind"])
def bind(title: str) -> None:
    done.append(f"bound {title}")


press.run_worker(wait=False)
assert sorted(done) == ["3 x Notes", "bound Notes"]

# Where every task should be known, a name that is not is an error.
try:
    shop.configure_task("press.print_bok", allow_unknown=False)
except pq.TaskNotFound as refusal:
    print(refusal)
