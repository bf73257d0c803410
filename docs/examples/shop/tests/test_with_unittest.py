"""The same without pytest: `using` gives what the fixtures give, also to a whole class or a script."""
# ruff: noqa: PT009 - these are unittest's assertions, not pytest's

import unittest
from unittest import mock

from fakes import FakeMailer
from memory_store import MemoryStore
from shop.outside import outside
from shop.queue import app
from shop.store import Order
from shop.tasks import send_receipt

from pq_testing import RunOnceWorker, using


class Receipts(unittest.TestCase):
    def setUp(self) -> None:
        self.run_jobs = self.enterContext(using(app))
        self.mailer = FakeMailer()
        order = Order(id=7, book="Emma", email="ada@example.org", cents=1200, status="paid")
        self.enterContext(mock.patch.multiple(outside, store=MemoryStore(orders={7: order}), mailer=self.mailer))

    def test_a_receipt_is_sent_once(self) -> None:
        send_receipt.defer(7)
        send_receipt.defer(7)
        self.assertEqual(len(self.run_jobs().succeeded), 2)
        self.assertEqual(list(self.mailer.sent), ["receipt 7"])

    def test_a_receipt_is_sent_by_the_real_worker(self) -> None:
        send_receipt.defer(7)
        RunOnceWorker(app).run()
        self.assertEqual(list(self.mailer.sent), ["receipt 7"])


if __name__ == "__main__":
    unittest.main()
