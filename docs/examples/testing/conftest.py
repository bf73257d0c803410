import newsletter
import pytest


@pytest.fixture(autouse=True)
def _no_mail() -> None:
    newsletter.sent.clear()
