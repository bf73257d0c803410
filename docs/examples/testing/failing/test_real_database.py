# Run with -o pq_app=
from newsletter import send_mail


def test_a_mail_is_sent() -> None:
    send_mail.defer("ada@example.org")
