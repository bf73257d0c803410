import pytest


@pytest.mark.pq(redelivery=True)
def test_twice() -> None: ...
