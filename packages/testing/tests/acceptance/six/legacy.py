"""An older suite of the shop, from before it had a queue. It knows nothing of pq."""
# ruff: noqa: PT009 - older still: unittest

import unittest

import pytest
import shop


def test_placing_an_order() -> None:
    assert shop.place(7) == {"order": 7}


@pytest.mark.parametrize("order", range(200))
def test_placing_many(order: int) -> None:
    assert shop.place(order) == {"order": order}


@pytest.fixture(scope="module")
def orders() -> list[int]:
    return [shop.place(order)["order"] for order in range(3)]


def test_orders_placed_for_the_whole_module(orders: list[int]) -> None:
    assert orders == [0, 1, 2]


class Placing(unittest.TestCase):
    def test_of_one(self) -> None:
        self.assertEqual(shop.place(1), {"order": 1})
