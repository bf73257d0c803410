"""An application's tests: what was deferred, what running it does, what a rolled-back transaction leaves."""
# ruff: noqa: PT009, PT027 - these are unittest's assertions, not pytest's

import unittest

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector())  # No test below comes near it.
sent: list[str] = []


@app.task(queue="mail", retry=3)
def send_mail(address: str) -> str:
    if "@" not in address:
        raise ValueError(f"{address!r} is no address")
    sent.append(address)
    return "sent"


def sign_up(address: str) -> None:
    """The code under test."""
    send_mail.configure(lock=f"mail to {address}").defer(address)


class SignUp(unittest.TestCase):
    def setUp(self) -> None:
        self.memory = self.enterContext(app.replace_connector(pq.InMemoryConnector()))
        sent.clear()

    def test_a_mail_is_deferred(self) -> None:
        sign_up("ada@example.org")
        [job] = self.memory.jobs.values()
        self.assertEqual((job.task, job.queue), (send_mail.name, "mail"))
        self.assertEqual(job.args, {"address": "ada@example.org"})
        self.assertEqual(job.lock, "mail to ada@example.org")
        self.assertEqual(sent, [])

    def test_the_mail_is_sent(self) -> None:
        sign_up("ada@example.org")
        app.run_worker(wait=False)
        self.assertEqual(sent, ["ada@example.org"])
        self.assertEqual(self.memory.jobs[1].state, pq.State.SUCCEEDED)
        self.assertEqual(self.memory.jobs[1].result, "sent")

    def test_a_bad_address_fails_after_three_runs(self) -> None:
        sign_up("nowhere")
        with self.assertLogs("pq_core.worker"):
            app.run_worker(wait=False)
        job = self.memory.jobs[1]
        self.assertEqual((job.state, job.attempt), (pq.State.FAILED, 3))
        self.assertEqual([error["type"] for error in job.errors], ["ValueError"] * 3)

    def test_nobody_is_written_to_if_the_transaction_fails(self) -> None:
        with self.assertRaises(ZeroDivisionError), self.memory.transaction() as transaction:
            send_mail.configure(connection=transaction).defer("ada@example.org")
            raise ZeroDivisionError
        self.assertEqual(self.memory.jobs, {})

    def test_after_a_reset_ids_start_at_one_again(self) -> None:
        sign_up("ada@example.org")
        self.memory.reset()
        sign_up("bob@example.org")
        self.assertEqual(list(self.memory.jobs), [1])


if __name__ == "__main__":
    unittest.main()
