from django.db import connection, models
from newsletter import send_mail


class Reader(models.Model):
    address = models.EmailField(unique=True)

    def __str__(self) -> str:
        return self.address


def sign_up(address: str) -> None:
    """The code under test."""
    Reader.objects.create(address=address)
    send_mail.configure(connection=connection).defer(address)
