"""Which disturbances a test asks for."""

from __future__ import annotations

from typing import Literal

import attrs


@attrs.frozen(kw_only=True)
class Chaos:
    """What is done to the workers of a test; nothing by default.

    Attributes:
        redeliver: each job runs, its acknowledgement is lost, and it runs again.
        crash: workers die: at points drawn at random, or, test by test, at each point there is.
        crash_at: the one point at which a worker dies, from 1; for "everywhere", set for each run of the test.
        reorder: jobs run in another legal order than the usual one.
        seed: of all that is drawn; the same seed draws the same.
        replay: the command that runs the test again in exactly this way.
    """

    redeliver: bool = False
    crash: Literal["random", "everywhere"] | None = None
    crash_at: int | None = None
    reorder: bool = False
    seed: int = 0
    replay: str = ""

    def __bool__(self) -> bool:
        return self.redeliver or self.crash is not None or self.reorder
