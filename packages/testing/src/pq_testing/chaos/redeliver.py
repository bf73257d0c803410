"""Redelivery: each job runs, its acknowledgement is lost, and it runs again.

That is what at-least-once means, made to happen each time. A worker that dies after a job has ended, before that is
written, leaves a job that ran and that nobody knows to have run. What the second run changes, of what the test watches
through `pq_effects`, is a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import attrs

from pq_core.connector import JobFilter
from pq_core.job import Job
from pq_core.outcome import Outcome
from pq_testing.chaos.losses import would_end
from pq_testing.effects.change import Change, listed
from pq_testing.hand import Hand

PAGE = 1_000
Ended = tuple[Outcome, BaseException | None]


class NotIdempotent(AssertionError):
    """Jobs that changed something again when they were delivered again.

    .. versionadded:: 0.1

    Attributes:
        findings: one for each such job.
        replay: the command that runs the test again in exactly this way.
    """

    def __init__(self, replay: str = "") -> None:
        super().__init__()
        self.findings: list[Finding] = []
        self.replay = replay

    def __str__(self) -> str:
        lines = [str(finding) for finding in self.findings[:MOST_FINDINGS]]
        if len(self.findings) > MOST_FINDINGS:
            lines.append(f"… and {len(self.findings) - MOST_FINDINGS} more jobs that are not idempotent.")
        if self.replay:
            lines.append(f"Replay: {self.replay}")
        return "\n".join(lines)


@attrs.frozen(kw_only=True)
class Finding:
    """A job that is not idempotent.

    Attributes:
        job: as it was claimed for its second run.
        changes: what the second run changed.
        again: jobs that it deferred, as the first run had, if they are an effect that the test watches.
        aside: the same, if they are not: they alone make no finding.
        before: what the first run had changed.
    """

    job: Job
    changes: tuple[Change, ...]
    again: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    before: tuple[Change, ...] = ()

    def __str__(self) -> str:
        how = "redelivered (its worker died after the job ended, before that was written), it changed"
        lines = [f"{_call(self.job)} is not idempotent: {how}", listed([*self.changes, *self.again])]
        if self.aside:
            lines.append(f"and {', '.join(self.aside[:FEW])}{_more(self.aside)}.")
        if self.before:
            first = "; ".join(map(str, self.before[:FEW]))
            lines.append(f"Its first run had changed {first}{_more(self.before)}.")
        return "\n".join(lines)


MOST_FINDINGS = 10
"""Jobs that are told of in one error."""
FEW = 3
"""What stands beside the findings is shown in brief."""


@attrs.frozen(kw_only=True)
class First:
    """The run whose end nobody heard of."""

    succeeded: bool
    changes: tuple[Change, ...]
    deferred: tuple[str, ...]


@attrs.define(eq=False)
class Redelivery:
    """Which jobs of one test have been delivered, and what they did the first time.

    A job is redelivered once, after the first run that came to an end, whatever end. Not if the loss would end the job
    (``max_losses``, ``delivery="at_most_once"``), nor if it was asked to stop: then there is no second run.
    """

    _delivered: set[int] = attrs.field(init=False, factory=set[int])
    _firsts: dict[int, First] = attrs.field(init=False, factory=dict[int, First])
    _highest_id: int = attrs.field(init=False, default=0)
    _running: dict[int, int] = attrs.field(init=False, factory=dict[int, int])
    _begun: int = attrs.field(init=False, default=0)

    async def run(self, hand: Hand, job: Job) -> Ended | None:
        """Run a job; return how it ended, for the hand to write, or None: then that was lost, and the hand is new.

        Args:
            hand: has claimed the job. To lose the end of a run, its worker dies.
            job: as it was claimed.
        """
        if job.id in self._firsts:
            return await self._run_again(hand, job)
        if job.id in self._delivered or would_end(job):
            return await self._execute(hand, job)
        return await self._run_in_vain(hand, job)

    async def _run_in_vain(self, hand: Hand, job: Job) -> Ended | None:
        with hand.in_vain():  # of a job in a transaction, only that is left which no rollback undoes
            ended, changes, deferred = await self._observe(hand, job)
        self._delivered.add(job.id)
        undone = ended[0].kind == "succeeded" and _is_transactional(hand, job)
        if ended[0].kind == "released" or await _asked_to_stop(hand, job):
            return (Outcome.released(job), None) if undone else ended
        succeeded = ended[0].kind == "succeeded" and not undone
        self._firsts[job.id] = First(succeeded=succeeded, changes=changes, deferred=deferred)
        await hand.expire()
        hand.be_reborn()
        await hand.sign_on()
        return None

    async def _run_again(self, hand: Hand, job: Job) -> Ended:
        (outcome, error), changes, deferred = await self._observe(hand, job)
        first = self._firsts.pop(job.id)  # not before: a crash may have ended this run
        _judge(hand, job, first, changes, deferred)
        if error is not None and first.succeeded:
            _explain(hand, job, error)
        return outcome, error

    async def _observe(self, hand: Hand, job: Job) -> tuple[Ended, tuple[Change, ...], tuple[str, ...]]:
        """Run a job; return how it ended, what it changed and what it deferred.

        Nothing is said of what came to be while other jobs ran, too: each of them may have done it.
        """
        effects = hand.drain.harness.effects if hand.drain.harness.watched else None
        if effects is None or not (effects.watching or effects.watches_jobs):
            return await self._execute(hand, job), (), ()
        quiet_around = self._alone_from_here(job)
        await self._deferred(hand)
        quiet = self._alone_from_here(job)
        before = await effects.snapshot_async()
        ended = await self._execute(hand, job)
        changes = tuple(await effects.changes_since_async(before)) if quiet() else ()
        deferred = await self._deferred(hand)
        return ended, changes, deferred if quiet_around() else ()

    async def _execute(self, hand: Hand, job: Job) -> Ended:
        self._running[job.id] = job.claim
        self._begun += 1
        try:
            return await hand.execute(job)
        finally:
            if self._running.get(job.id) == job.claim:
                del self._running[job.id]

    def _alone_from_here(self, job: Job) -> Callable[[], bool]:
        """Return what tells, later, whether one run of a job has been all there was since now.

        A run that a crash has frozen is over when its job runs again.
        """
        alone, begun = self._running.keys() <= {job.id}, self._begun
        return lambda: alone and self._begun == begun + 1

    async def _deferred(self, hand: Hand) -> tuple[str, ...]:
        """Return the jobs deferred since this was last asked."""
        found: list[str] = []
        while page := await hand.drain.connector.find(JobFilter(), limit=PAGE, after=self._highest_id):
            found += map(_call, page)
            self._highest_id = page[-1].id
        return tuple(found)


def _judge(hand: Hand, job: Job, first: First, changes: tuple[Change, ...], deferred: tuple[str, ...]) -> None:
    """Write down a finding, if the second run changed what it should have left alone.

    After a run that succeeded that is everything. A run that did not succeed may have left something to do: then it is
    what the first run had changed already.
    """
    deferred_twice = Counter(first.deferred) & Counter(deferred)
    if not first.succeeded:
        already = {(change.path, change.kind) for change in first.changes}
        changes = tuple(change for change in changes if (change.path, change.kind) in already)
        deferred = tuple(deferred_twice.elements())
    jobs = tuple(f"deferred {call}{' again' if call in deferred_twice else ''}" for call in deferred)
    counts = hand.drain.harness.effects.watches_jobs
    if not changes and not (jobs and counts):
        return
    finding = Finding(
        job=job,
        changes=changes,
        again=jobs if counts else (),
        aside=() if counts else jobs,
        before=first.changes,
    )
    found = next((each for each in hand.drain.findings if isinstance(each, NotIdempotent)), None)
    if found is None:
        found = NotIdempotent(hand.drain.harness.chaos.replay)
        hand.drain.findings.append(found)
    found.findings.append(finding)


def _explain(hand: Hand, job: Job, error: BaseException) -> None:
    replay = hand.drain.harness.chaos.replay
    try:
        error.add_note(
            f"{_call(job)} raised this when it was redelivered: its first run had succeeded, then its worker died "
            f"before that was written.{f' Replay: {replay}' if replay else ''}"
        )
    except Exception:  # noqa: BLE001 - exceptions may refuse notes, as frozen ones do
        return


def _is_transactional(hand: Hand, job: Job) -> bool:
    tasks = hand.drain.harness.app.tasks
    return job.task in tasks and tasks[job.task].delivery == "transactional"


async def _asked_to_stop(hand: Hand, job: Job) -> bool:
    found = await hand.drain.connector.find(JobFilter(ids=[job.id]), limit=1)
    return not found or found[0].cancel_requested_at is not None


def _call(job: Job) -> str:
    return f"{job.task}({', '.join(f'{name}={value!r}' for name, value in job.args.items())})"


def _more(shown: tuple[object, ...]) -> str:
    return f" and {len(shown) - FEW} more" if len(shown) > FEW else ""
