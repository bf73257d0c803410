"""What `pq_effects` tells of objects: fakes, lists, mocks, and what functions return."""

from __future__ import annotations

import asyncio
import ctypes
import io
import logging
import threading
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple
from unittest.mock import AsyncMock, MagicMock, Mock

import attrs
import pytest

from pq_core.errors import InvalidOption
from pq_testing.effects import CannotRead, CannotWatch, Change, Effects, TooMuchToWatch, camera, listed


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
def told(effects: Effects) -> Callable[[Any, Callable[[], object]], list[str]]:
    """Watch something as `it`, do something, and return what the changes say."""

    def tell(target: Any, act: Callable[[], object], **options: Any) -> list[str]:
        effects.watch(target, name="it", **options)
        before = effects.snapshot()
        act()
        return [str(change) for change in effects.changes_since(before)]

    return tell


@dataclass
class Stripe:
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    total: int = 0


@attrs.define
class Order:
    """An attrs class with slots."""

    id: int
    lines: dict[str, int]


class Plain:
    def __init__(self) -> None:
        self.charged = 1
        self._log = ["a"]

    @property
    def broken(self) -> int:
        raise AssertionError("a property was asked")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("__eq__ was asked")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise AssertionError("__repr__ was asked")


def test_what_is_added_to_a_list_is_told(told: Any) -> None:
    calls = [("charge", 5)]
    assert told(calls, lambda: calls.append(("charge", 7))) == ["it +1 ('charge', 7)"]


def test_what_is_added_to_a_list_in_front_is_told_alone(told: Any) -> None:
    calls = [1, 2, 3]
    assert told(calls, lambda: calls.insert(0, 9)) == ["it +1 9"]


def test_what_is_gone_from_a_list_is_told(told: Any) -> None:
    calls = ["a", "b", "c"]
    assert told(calls, lambda: calls.remove("b")) == ["it -1 'b'"]


def test_an_element_that_changed_in_place_is_told_with_its_index(told: Any) -> None:
    orders: list[Any] = [{"charged": 1}, {"charged": 1}]
    assert told(orders, lambda: orders[1].update(charged=2)) == ["it[1]['charged'] 1 → 2"]


def test_a_key_of_a_dict_that_changed_came_or_went_is_told(told: Any) -> None:
    cart: dict[Any, Any] = {"total": 10, 7: "x"}

    def act() -> None:
        cart["total"] = 20
        cart["gift"] = True
        del cart[7]

    assert told(cart, act) == ["it['total'] 10 → 20", "it[7] 'x' → absent", "it['gift'] absent → True"]


def test_the_order_of_keys_is_no_change(told: Any) -> None:
    cart = OrderedDict(a=1, b=2)
    assert told(cart, lambda: cart.move_to_end("a")) == []


def test_elements_of_a_set_are_told_in_an_order_that_does_not_change(told: Any) -> None:
    sent = {"b", "gone"}

    def act() -> None:
        sent.discard("gone")
        sent.update("zxa")

    assert told(sent, act) == ["it +1 'a'", "it -1 'gone'", "it +1 'x'", "it +1 'z'"]


def test_a_deque_is_a_list(told: Any) -> None:
    queue = deque([1, 2])
    assert told(queue, queue.popleft) == ["it -1 1"]


@pytest.mark.parametrize(
    "target, act, expected",
    [
        (Stripe(), lambda it: it.calls.append(("charge", 7)), ["it.calls +1 ('charge', 7)"]),
        (Stripe(), lambda it: setattr(it, "total", 5), ["it.total 0 → 5"]),
        (Order(1, {"x": 1}), lambda it: it.lines.update(x=2), ["it.lines['x'] 1 → 2"]),
        (Plain(), lambda it: setattr(it, "charged", 2), ["it.charged 1 → 2"]),
        (Plain(), lambda it: it._log.append("b"), ["it._log +1 'b'"]),
        (Plain(), lambda it: setattr(it, "new", Order(3, {})), ["it.new absent → Order(id=3, lines={})"]),
    ],
)
def test_attributes_of_any_object_are_told(
    told: Any, target: Any, act: Callable[[Any], object], expected: list[str]
) -> None:
    assert told(target, lambda: act(target)) == expected


def test_looking_at_an_object_runs_no_code_of_it(told: Any) -> None:
    holder = [Plain(), Plain()]
    assert told(holder, holder.pop) == ["it -1 Plain(charged=1, _log=['a'])"]


def test_variables_of_a_class_and_of_a_module_are_told(told: Any, effects: Effects) -> None:
    class Fake:
        sent: ClassVar[list[str]] = []

        def send(self) -> None: ...

    module = ModuleType("fake_smtp")
    module.outbox = []  # type: ignore[attr-defined]
    effects.watch(module)
    assert told(Fake, lambda: (Fake.sent.append("a"), module.outbox.append("b"))) == [
        "fake_smtp.outbox +1 'b'",
        "it.sent +1 'a'",
    ]


@pytest.mark.parametrize("kind", [Mock, MagicMock])
def test_calls_of_a_mock_are_told(told: Any, kind: type[Mock]) -> None:
    stripe = kind()
    stripe.charge(1)
    assert told(stripe, lambda: stripe.charge(7, currency="EUR")) == ["it +1 call.charge(7, currency='EUR')"]


def test_calls_of_a_mock_inside_of_an_object_are_told(told: Any) -> None:
    shop = Stripe()
    shop.gateway = AsyncMock()  # type: ignore[attr-defined]
    assert told(shop, lambda: asyncio.run(shop.gateway(5))) == ["it.gateway +1 call(5)"]  # type: ignore[attr-defined]


def test_what_a_function_returns_is_told(told: Any) -> None:
    count = 1

    def orders() -> int:
        return count

    def act() -> None:
        nonlocal count
        count = 2

    assert told(orders, act) == ["it 1 → 2"]


def test_a_partial_and_a_method_are_functions(effects: Effects) -> None:
    stripe = Stripe()
    effects.watch(partial(len, stripe.calls), name="partial")
    effects.watch(stripe.calls.copy, name="method")
    before = effects.snapshot()
    stripe.calls.append((1,))
    assert [str(change) for change in effects.changes_since(before)] == ["partial 0 → 1", "method +1 (1,)"]


def test_an_async_function_is_awaited_by_an_async_snapshot(effects: Effects) -> None:
    stripe = Stripe()

    async def total() -> int:
        await asyncio.sleep(0)
        return stripe.total

    async def act() -> list[Change]:
        before = await effects.snapshot_async()
        stripe.total = 3
        return await effects.changes_since_async(before)

    effects.watch(total)
    assert [str(change) for change in asyncio.run(act())] == ["total 0 → 3"]
    with pytest.raises(CannotRead, match=r"total is watched through an async function: await snapshot_async\(\)"):
        effects.snapshot()


def test_a_function_is_called_as_if_no_loop_ran(effects: Effects) -> None:
    effects.watch(lambda: asyncio.run(asyncio.sleep(0, 5)), name="loop")
    assert asyncio.run(effects.snapshot_async()).objects[0][1].plain == 5


def test_a_function_that_raises_is_named(effects: Effects) -> None:
    def total() -> int:
        raise KeyError("total")

    effects.watch(total)
    with pytest.raises(CannotRead, match="total, a watched function, raised KeyError"):
        effects.snapshot()


@pytest.mark.parametrize(
    "target, why",
    [
        (5, "5 cannot change, so there is nothing to watch"),
        ("text", "'text' cannot change"),
        (None, "None cannot change"),
        ((1, 2), r"\(1, 2\) cannot change"),
        (threading.Lock(), "a lock does not show what it is made of"),
        (lambda order: order, "it is a function that cannot be called without arguments"),
        (len, "it is a function that cannot be called without arguments"),
    ],
)
def test_what_cannot_be_watched_is_refused(effects: Effects, target: Any, why: str) -> None:
    with pytest.raises(CannotWatch, match=why):
        effects.watch(target, name="it")


@pytest.mark.parametrize("name", [5, ""])
def test_a_name_that_is_none_is_refused(effects: Effects, name: Any) -> None:
    with pytest.raises(InvalidOption, match="name"):
        effects.watch([], name=name)


@pytest.mark.parametrize("ignore", ["updated_at", [5], [""], 7])
def test_an_ignore_that_is_no_list_of_texts_is_refused(effects: Effects, ignore: Any) -> None:
    with pytest.raises(InvalidOption, match=r'is not a list of texts such as \["orders.updated_at"\]'):
        effects.watch([], ignore=ignore)


@pytest.mark.parametrize(
    "ignore, left",
    [
        ([], {"it.total", "it.at", "it.lines[0]['at']", "it.lines[0]['n']", "it.atom"}),
        (["at"], {"it.total", "it.lines[0]['at']", "it.lines[0]['n']", "it.atom"}),
        ([".at", "lines[*]['at']"], {"it.total", "it.lines[0]['n']", "it.atom"}),
        (["lines"], {"it.total", "it.at", "it.atom"}),
        (["*"], set()),
    ],
)
def test_ignored_paths_do_not_count(effects: Effects, ignore: list[str], left: set[str]) -> None:
    it = Plain()
    it.__dict__ = {"total": 0, "at": 0, "lines": [{"at": 0, "n": 0}], "atom": 0}
    effects.watch(it, name="it", ignore=ignore)
    before = effects.snapshot()
    it.__dict__.update(total=1, at=1, lines=[{"at": 1, "n": 1}], atom=1)
    assert {change.path for change in effects.changes_since(before)} == left


def test_an_object_is_called_as_the_test_calls_it(effects: Effects) -> None:
    stripe, cart = Stripe(), {"total": 1}
    effects.watch(stripe)
    effects.watch(cart)
    effects.watch(stripe.calls)
    effects.watch([])
    effects.watch([])
    before = effects.snapshot()
    stripe.calls.append((1,))
    cart.clear()
    assert [watched.name for watched, _ in before.objects] == ["stripe", "cart", "stripe.calls", "list", "list (2)"]
    assert [str(change) for change in effects.changes_since(before)] == [
        "stripe.calls +1 (1,)",
        "cart['total'] 1 → absent",
        "stripe.calls +1 (1,)",
    ]


def test_a_change_says_where_it_is_and_what_was_and_is_there(effects: Effects) -> None:
    cart: dict[str, Any] = {"lines": [{"n": Decimal(1)}]}
    effects.watch(cart)
    before = effects.snapshot()
    cart["lines"].append({"n": 2, "tags": ("a", {"b"}), "by": Stripe()})
    (change,) = effects.changes_since(before)
    assert change == Change(
        path="cart['lines']",
        kind="added",
        after={"n": 2, "tags": ("a", "{'b'}"), "by": "Stripe(calls=[], total=0)"},
        text="",
    )


def test_a_value_of_another_type_is_a_change_and_nan_is_none(told: Any) -> None:
    values: list[Any] = [1, float("nan"), Decimal("nan"), 1.0]

    def act() -> None:
        values[0] = True
        values[1] = float("nan")
        values[2] = Decimal("nan")

    assert told(values, act) == ["it[0] 1 → True"]


def test_what_holds_itself_can_be_watched(told: Any) -> None:
    tree: dict[str, Any] = {"n": 1}
    tree["self"] = [tree]
    assert told(tree, lambda: tree.update(n=2)) == ["it['n'] 1 → 2"]


def test_what_is_shared_is_told_wherever_it_is(told: Any) -> None:
    shared = [1]
    assert told({"a": shared, "b": shared}, lambda: shared.append(2)) == ["it['a'] +1 2", "it['b'] +1 2"]


def test_locks_streams_and_generators_in_an_object_do_not_hurt(told: Any) -> None:
    holder = Plain()
    holder.__dict__ = {"lock": threading.RLock(), "text": io.StringIO(), "of": (n for n in [1]), "deep": []}

    def act() -> None:
        holder.__dict__["lock"] = threading.RLock()
        holder.__dict__["text"].write("hello")

    assert told(holder, act) == ["it.text '' → 'hello'"]


def test_what_objects_remember_of_having_been_looked_at_is_no_change(told: Any) -> None:
    places = [Path("a") / "b", ValueError("x")]
    assert told(places, lambda: (str(places[0]), hash(places[0]), places[0].parts)) == []


def test_what_an_exception_or_an_array_holds_is_told(told: Any) -> None:
    memory = (ctypes.c_int * 3)()  # shows nothing of what it holds
    holder = [ValueError("old"), array("i", range(5)), memory]

    def act() -> None:
        holder[0] = ValueError("new")
        holder[1][3] = 9
        memory[2] = 9

    *told_of, of_memory = told(holder, act)
    assert of_memory.startswith("it[2] ")
    assert told_of == [
        "it[0] ValueError('old') → ValueError('new')",
        "it[1] array('i', [0, 1, 2, 3, 4]) → array('i', [0, 1, 2, 9, 4])",
    ]


def test_the_machinery_around_an_object_is_not_looked_into(told: Any) -> None:
    holder = Plain()
    event = threading.Event()
    holder.__dict__ = {"event": event, "log": logging.getLogger("pq_testing.tests"), "n": 1}

    def act() -> None:
        event.set()
        logging.getLogger("pq_testing.tests").debug("cached: not enabled")
        holder.__dict__["n"] = 2

    assert told(holder, act) == ["it.n 1 → 2"]


def test_fields_of_a_named_tuple_have_names(told: Any) -> None:
    class Line(NamedTuple):
        sku: str
        n: int

    lines = [Line("a", 1)]

    def act() -> None:
        lines[0] = Line("a", 2)

    assert told(lines, act) == ["it[0].n 1 → 2"]


def test_a_structure_deeper_than_python_recurses_can_be_watched(told: Any) -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    told(deep, lambda: None)


def test_an_object_that_leads_to_too_much_is_refused(effects: Effects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "MOST_PARTS", 100)
    effects.watch([[0] * 101], name="it")
    with pytest.raises(TooMuchToWatch, match="it leads to more than 100 values"):
        effects.snapshot()


def test_long_values_are_cut(told: Any) -> None:
    values = ["x"]

    def act() -> None:
        values[0] = "y" * 1_000

    (line,) = told(values, act)
    assert line.endswith("y…")
    assert len(line) < 200


def test_of_many_changes_the_first_are_listed_and_the_rest_counted() -> None:
    assert listed(range(3)) == "  0\n  1\n  2"
    assert listed(range(25)).splitlines()[19:] == ["  19", "  … and 5 more"]


def test_what_is_watched_only_later_does_not_count(effects: Effects) -> None:
    first, second = [1], [1]
    effects.watch(first)
    before = effects.snapshot()
    effects.watch(second)
    first.append(2)
    second.append(2)
    assert [change.path for change in effects.changes_since(before)] == ["first"]


def test_nothing_is_watched_after_a_reset(effects: Effects) -> None:
    effects.watch([])
    effects.watch_jobs()
    assert effects.watching
    assert effects.watches_jobs
    effects.reset()
    assert not effects.watching
    assert not effects.watches_jobs
