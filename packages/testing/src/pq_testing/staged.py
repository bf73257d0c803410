"""The drains of one test, each on a stage."""

from __future__ import annotations

import attrs

from pq_testing.drain import Drain
from pq_testing.script import Script
from pq_testing.stage import Stage


@attrs.define(eq=False)
class Staged:
    """Conducts each drain of a test on a stage of its own, all by one script.

    Attributes:
        script: says what happens.
        workers: hands at least.
        stages: one for each drain so far.
    """

    script: Script
    workers: int = 1
    stages: list[Stage] = attrs.field(init=False, factory=list[Stage])

    @property
    def points(self) -> int:
        """At how many points workers could have died so far."""
        return getattr(self.script, "points", 0)

    @property
    def lines(self) -> list[str]:
        """What was done to the workers so far, in words, for the report of a failing test."""
        return list(getattr(self.script, "lines", ()))

    async def conduct(self, drain: Drain) -> None:
        """Let hands live until nothing is due any more."""
        workers = drain.workers if drain.transaction is not None else max(drain.workers, self.workers)
        stage = Stage(drain, self.script, workers=workers)
        self.stages.append(stage)
        try:
            await stage.play()
        finally:
            stage.mind_the_loop()

    def close(self) -> None:
        """Close what is frozen, at the end of the test."""
        while self.stages:
            self.stages.pop().close()
