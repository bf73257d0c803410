from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _words_of_a_terminal() -> Iterator[None]:
    """Have pytest inside of these tests print what it prints at home: in CI it shortens nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CI", "BUILD_NUMBER"):
            patch.delenv(name, raising=False)
        yield
