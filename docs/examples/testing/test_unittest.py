"""The same without pytest."""
# ruff: noqa: PT009 - these are unittest's assertions

import unittest

from newsletter import app, sent, sign_up

from pq_testing import using


class SigningUp(unittest.TestCase):
    def setUp(self) -> None:
        self.run_jobs = self.enterContext(using(app))
        sent.clear()

    def test_a_mail_is_sent(self) -> None:
        sign_up("ada@example.org")
        self.run_jobs()
        self.assertEqual(sent, ["Welcome: ada@example.org"])


if __name__ == "__main__":
    unittest.main()
