"""A deployment, in which the arguments and the name of a task change while jobs wait and old workers run."""

from typing import Any

import pq_core as pq

store = pq.InMemoryConnector()

# As it was: version 1, which is what a task has that says nothing.
old = pq.App(connector=store)
ran: list[str] = []


@old.task(name="shop.greet")
def greet(name: str) -> None:
    ran.append(f"hello {name}")


# As it is now: another name, and a list of names in place of one.
new = pq.App(connector=store)


def one_name_to_many(args: dict[str, Any]) -> dict[str, Any]:
    return {"names": [args["name"]]}


@new.task(name="shop.welcome", aliases=["shop.greet"], version=2, upcast={1: one_name_to_many})
def welcome(names: list[str]) -> None:
    ran.append(f"welcome {' and '.join(names)}")


# Both run side by side for a while. What the old code has deferred, either can run; what the new one has, only it can.
greet.defer("ada")
greet.defer("bob")
ours = welcome.defer(["cid", "dan"])
# The former name leads to the task, too.
also_ours = new.configure_task("shop.greet").defer(names=["eve"])

old.run_worker(wait=False, concurrency=1)
assert ran == ["hello ada", "hello bob"]
assert new.jobs.get(ours).state == new.jobs.get(also_ours).state == pq.State.SCHEDULED  # given back, for 10 seconds

greet.defer("fay")
new.jobs.reschedule([ours, also_ours], schedule_in={"seconds": 0})
new.run_worker(wait=False, concurrency=1)
assert ran[2:] == ["welcome cid and dan", "welcome eve", "welcome fay"]

# Who knows a task by its name only says of which version the arguments are that it gives.
elsewhere = pq.App(connector=store)
elsewhere.configure_task("shop.welcome", version=2).defer(names=["gus"])
elsewhere.configure_task("shop.welcome").defer(name="hal")
new.run_worker(wait=False, concurrency=1)
assert ran[5:] == ["welcome gus", "welcome hal"]
