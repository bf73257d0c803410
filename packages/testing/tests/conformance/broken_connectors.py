"""Connectors that are broken on purpose, each in one way. The suite must see it: that is what test_mutants asks.

Not collected with the other tests; test_mutants runs this file in a pytest of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import attrs
import pytest

from pq_core.connector import (
    Deferred,
    Fetched,
    JobChanges,
    JobFilter,
    JobState,
    QueueInfo,
    Standing,
    WorkerInfo,
    WorkerStatus,
)
from pq_core.errors import AlreadyDeferred, InvalidJob, LeaseLost
from pq_core.health import Health
from pq_core.job import Job, NewJob
from pq_core.memory import InMemoryConnector, MemoryTransaction
from pq_core.memory.record import Record
from pq_core.outcome import UNCHANGED, Outcome, Progress
from pq_core.schedule import Move, NewSchedule, Ticked
from pq_core.states import State
from pq_core.streaming import Tell
from pq_core.watch import Watch, deaf_watch
from pq_testing.conformance import TOPICS, Case, ConnectorConformance, Transactions, case
from pq_testing.conformance.concluding import Concluding
from pq_testing.conformance.deferring import Deferring
from pq_testing.conformance.ending import AtMostOnce, Progressing, Superseding
from pq_testing.conformance.expiring import Expiring
from pq_testing.conformance.fetching import Fetching, Sharing
from pq_testing.conformance.filtering import Filtering
from pq_testing.conformance.finishing import Fencing, Finishing, GoingOn
from pq_testing.conformance.hardening import Opening
from pq_testing.conformance.isolating import Isolating
from pq_testing.conformance.json_values import JsonValues
from pq_testing.conformance.keys_in_transactions import KeysInTransactions
from pq_testing.conformance.listening import Listening
from pq_testing.conformance.listing import Finding, Pausing
from pq_testing.conformance.locking import Locking
from pq_testing.conformance.mutex import Mutex
from pq_testing.conformance.pausing import PausingAll, PausingTasks
from pq_testing.conformance.pruning import Pruning
from pq_testing.conformance.purging import Purging
from pq_testing.conformance.reporting import Standings, TellingOfHealth, TellingOfWorkers
from pq_testing.conformance.rescuing import LastLife, Leasing, Rescuing
from pq_testing.conformance.scheduling import PuttingSchedules, Ticking
from pq_testing.conformance.steering import Cancelling, Rescheduling, Reviving
from pq_testing.conformance.streaming import Streaming
from pq_testing.conformance.terms import Terms
from pq_testing.conformance.transacting import Transacting
from pq_testing.conformance.uniqueness import (
    KeptPeriods,
    LateStarters,
    Replacing,
    RevivingTwins,
    Uniqueness,
)
from pq_testing.conformance.waiting import Waiting
from pq_testing.model import MemoryTransactions

case.DEADLINE = 0.5
TICK = timedelta(microseconds=1)


class Broken(InMemoryConnector):
    """The in-memory connector, to be broken by a subclass in one way.

    Attributes:
        caught_by: the case that must fail.
        seen_by_model: whether random steps must find it, too.
    """

    caught_by: ClassVar[Callable[..., Any]]
    seen_by_model: ClassVar[bool] = False

    def live(self, state: State) -> list[Record]:
        """Return the records of live jobs, as memory holds them."""
        return [record for record in self._engine.store.live.values() if record.state is state]


class Changed(Broken):
    """Changes jobs before it stores them."""

    async def defer(self, jobs: Sequence[NewJob], **options: Any) -> list[Deferred]:
        return await super().defer([self.changed(job) for job in jobs], **options)

    def changed(self, job: NewJob) -> NewJob:
        raise NotImplementedError


class ReversesIds(Broken):
    caught_by = Deferring.test_ids_grow_in_the_order_of_deferring

    async def defer(self, jobs: Sequence[NewJob], **options: Any) -> list[Deferred]:
        return (await super().defer([*reversed(jobs)], **options))[::-1]


class KeepsTheGoodHalf(Broken):
    caught_by = Deferring.test_a_batch_with_one_bad_job_is_refused_whole_and_its_place_named
    seen_by_model = True

    async def defer(self, jobs: Sequence[NewJob], **options: Any) -> list[Deferred]:
        return [(await super(KeepsTheGoodHalf, self).defer([job], **options))[0] for job in jobs]


class ForgetsWhichWasBad(Broken):
    caught_by = Deferring.test_the_first_bad_job_of_a_batch_is_the_one_named
    seen_by_model = True

    async def defer(self, jobs: Sequence[NewJob], **options: Any) -> list[Deferred]:
        try:
            return await super().defer(jobs, **options)
        except InvalidJob as error:
            error.index = None
            raise


class SchedulesWhatIsDue(Changed):
    caught_by = Deferring.test_a_job_is_scheduled_only_if_it_is_due_later_than_now
    seen_by_model = True

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, delay=TICK) if job.delay == timedelta(0) else job


class ForgetsVersionsOfBatches(Broken):
    caught_by = Terms.test_each_job_of_a_batch_has_its_own_terms

    async def defer(self, jobs: Sequence[NewJob], **options: Any) -> list[Deferred]:
        many = len(jobs) > 1
        return await super().defer([attrs.evolve(job, version=1) if many else job for job in jobs], **options)


class ForgetsVersionsAtTheClaim(Broken):
    caught_by = Terms.test_a_claimed_job_has_its_terms

    async def fetch(self, *arguments: Any, **options: Any) -> Fetched:
        fetched = await super().fetch(*arguments, **options)
        return attrs.evolve(fetched, jobs=[attrs.evolve(job, version=1) for job in fetched.jobs])


class ForgetsVersionsOfLostRuns(Broken):
    caught_by = Terms.test_a_job_that_goes_on_has_its_terms

    async def rescue(self, **options: Any) -> list[JobState]:
        for record in self.live(State.RUNNING):
            record.version = 1
        return await super().rescue(**options)


class StoresEachBatchByItself(Broken):
    caught_by = Streaming.test_an_error_while_jobs_are_made_leaves_none

    async def defer_batches(self, batches: AsyncIterable[Sequence[NewJob]], tell: Tell) -> None:
        async for batch in batches:
            tell(await self.defer(batch))


class CountsPlacesByBatch(Broken):
    caught_by = Streaming.test_a_bad_job_of_a_later_batch_is_named_by_its_place_in_the_stream_and_leaves_none

    async def defer_batches(self, batches: AsyncIterable[Sequence[NewJob]], tell: Tell) -> None:
        async with self.transaction() as transaction:
            async for batch in batches:
                tell(await self.defer(batch, connection=transaction))


class TellsOfTheLastBatchFirst(Broken):
    caught_by = Streaming.test_a_stream_is_stored_in_its_order_and_told_of_batch_by_batch

    async def defer_batches(self, batches: AsyncIterable[Sequence[NewJob]], tell: Tell) -> None:
        gathered = [batch async for batch in batches]
        answers = await self.defer([job for batch in gathered for job in batch])
        for batch in reversed(gathered):
            tell(answers[-len(batch) :])
            del answers[-len(batch) :]


class SortsKeys(Changed):
    caught_by = JsonValues.test_the_order_of_arguments_is_kept
    seen_by_model = True

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, args=dict(sorted(job.args.items())))


class MakesFloatsWhole(Changed):
    caught_by = JsonValues.test_arguments_come_back_as_they_were

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, args={key: whole(value) for key, value in job.args.items()})


class StoresAnything(Changed):
    caught_by = JsonValues.test_what_json_cannot_carry_is_refused
    seen_by_model = True

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(
            job, args={str(key).encode("ascii", "replace").decode(): repr(job.args[key]) for key in job.args}
        )


class SharesArguments(Broken):
    caught_by = Isolating.test_what_find_returns_may_be_changed_freely

    async def find(self, which: JobFilter, **options: Any) -> list[Job]:
        self.seen: dict[Any, dict[str, Any]] = getattr(self, "seen", {})
        jobs = await super().find(which, **options)
        return [attrs.evolve(job, args=self.seen.setdefault((job.id, job.claim), job.args)) for job in jobs]


class LetsAnyoneFetch(Broken):
    caught_by = Fetching.test_a_worker_that_is_not_known_gets_an_error_and_nothing_changes
    seen_by_model = True

    async def fetch(self, worker: int, queues: Sequence[str] | None, limit: int, **options: Any) -> Fetched:
        try:
            return await super().fetch(worker, queues, limit, **options)
        except LeaseLost:
            return Fetched(jobs=[])


class LeasesOneTickTooLong(Broken):
    caught_by = Rescuing.test_a_lease_has_run_out_at_its_end_and_not_before

    async def heartbeat(self, worker: WorkerInfo, lease: timedelta, **options: Any) -> list[int]:
        return await super().heartbeat(worker, lease + TICK, **options)


class AsksTheWallClock(Broken):
    caught_by = Fetching.test_a_job_is_not_claimed_before_it_is_due

    async def fetch(self, worker: int, queues: Sequence[str] | None, limit: int, **options: Any) -> Fetched:
        return await super().fetch(worker, queues, limit)


class GivesTheLastFirst(Broken):
    caught_by = Fetching.test_one_answer_has_the_first_to_run_first

    async def fetch(self, worker: int, queues: Sequence[str] | None, limit: int, **options: Any) -> Fetched:
        fetched = await super().fetch(worker, queues, limit, **options)
        return attrs.evolve(fetched, jobs=fetched.jobs[::-1])


class ServesQueueByQueue(Broken):
    caught_by = Fetching.test_priority_counts_across_queues
    seen_by_model = True

    async def fetch(self, worker: int, queues: Sequence[str] | None, limit: int, **options: Any) -> Fetched:
        fetched = await super().fetch(worker, [], limit, **options)
        for queue in [info.name for info in await self.queues()] if queues is None else queues:
            if left := limit - len(fetched.jobs):
                more = await super().fetch(worker, [queue], left, **options)
                fetched = attrs.evolve(more, jobs=[*fetched.jobs, *more.jobs])
        return fetched


class NeverSaysAgain(Broken):
    caught_by = Sharing.test_what_a_share_left_is_had_by_fetching_again

    async def fetch(self, worker: int, queues: Sequence[str] | None, limit: int, **options: Any) -> Fetched:
        return attrs.evolve(await super().fetch(worker, queues, limit, **options), again=False)


class NeverSaysSolo(Broken):
    caught_by = LastLife.test_a_worker_that_runs_something_passes_it_over_and_says_so
    seen_by_model = True

    async def fetch(self, worker: int, queues: Sequence[str] | None, limit: int, **options: Any) -> Fetched:
        return attrs.evolve(await super().fetch(worker, queues, limit, **options), solo=False)


class KnowsNoLastLife(Changed):
    caught_by = LastLife.test_a_job_in_its_last_life_is_claimed_alone_and_before_anything_else

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, max_losses=job.max_losses + 1)


class KnowsNoOrder(Changed):
    caught_by = Locking.test_a_job_waits_for_an_earlier_one_that_is_scheduled

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, lock_mode="mutex")


class KnowsNoMutex(Changed):
    caught_by = Mutex.test_a_job_overtakes_one_on_another_queue

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, lock_mode="ordered")


class LocksByQueue(Changed):
    caught_by = Locking.test_a_job_waits_for_one_of_higher_priority_on_another_queue

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, lock=job.lock and f"{job.queue} {job.lock}")


class FoldsCaseOfLocks(Changed):
    caught_by = Locking.test_locks_are_the_same_only_character_by_character

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, lock=job.lock and job.lock.lower())


class LetsScheduledJobsHoldNoLock(Changed):
    caught_by = Locking.test_a_job_waits_for_an_earlier_one_that_is_scheduled

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, lock=None) if job.delay else job


class ChangesOutcomes(Broken):
    """Changes outcomes before it writes them."""

    async def finish(self, outcomes: Sequence[Outcome], **options: Any) -> list[int]:
        return await super().finish([self.changed(outcome) for outcome in outcomes], **options)

    def changed(self, outcome: Outcome) -> Outcome:
        raise NotImplementedError


class HasNoFence(ChangesOutcomes):
    caught_by = Fencing.test_after_a_rescue_the_old_claim_is_lost
    seen_by_model = True

    def changed(self, outcome: Outcome) -> Outcome:
        claims = {record.id: record.claim for record in self.live(State.RUNNING)}
        return attrs.evolve(outcome, claim=claims.get(outcome.job_id, outcome.claim))


class EndsJobsBeforeTheCommit(Broken):
    caught_by = Concluding.test_a_rollback_leaves_the_job_running_under_its_claim

    async def finish(self, outcomes: Sequence[Outcome], *, connection: Any = None, **options: Any) -> list[int]:
        return await super().finish(outcomes, **options)


class EndsJobsThatOthersHaveInATransaction(Broken):
    caught_by = Concluding.test_a_job_that_was_given_to_another_worker_cannot_be_ended_by_the_first

    async def finish(self, outcomes: Sequence[Outcome], *, connection: Any = None, **options: Any) -> list[int]:
        current = await super().finish(outcomes, connection=connection, **options)
        return current if connection is None else [outcome.job_id for outcome in outcomes]


class CommitsNothingButOutcomes(Broken):
    caught_by = Concluding.test_without_an_outcome_it_is_a_transaction_all_the_same

    async def defer(self, jobs: Sequence[NewJob], *, connection: Any = None, **options: Any) -> list[Deferred]:
        return await super().defer(jobs, **options)


class KeepsEverything(ChangesOutcomes):
    caught_by = Finishing.test_without_keep_no_trace_is_left
    seen_by_model = True

    def changed(self, outcome: Outcome) -> Outcome:
        return attrs.evolve(outcome, keep=True)


class KeepsTheAttemptOfAReleasedJob(ChangesOutcomes):
    caught_by = GoingOn.test_a_snoozed_or_released_job_gets_its_attempt_back_but_not_its_claim
    seen_by_model = True

    def changed(self, outcome: Outcome) -> Outcome:
        return attrs.evolve(outcome, kind="retried") if outcome.kind == "released" else outcome


class KeepsTheFirstErrors(ChangesOutcomes):
    caught_by = GoingOn.test_the_last_ten_errors_are_kept_the_oldest_first

    def changed(self, outcome: Outcome) -> Outcome:
        full = {record.id for record in self.live(State.RUNNING) if len(record.errors) >= 10}
        return attrs.evolve(outcome, error=None) if outcome.job_id in full else outcome


class IgnoresWhereARetryGoes(ChangesOutcomes):
    caught_by = GoingOn.test_a_retry_may_name_queue_priority_and_lock
    seen_by_model = True

    def changed(self, outcome: Outcome) -> Outcome:
        return attrs.evolve(outcome, queue=None)


class BelievesTheLastOutcome(Broken):
    caught_by = Fencing.test_of_two_outcomes_of_a_job_in_one_call_the_first_counts
    seen_by_model = True

    async def finish(self, outcomes: Sequence[Outcome], **options: Any) -> list[int]:
        return await super().finish([*reversed(outcomes)], **options)


class ComplainsOfUnknownJobs(Broken):
    caught_by = Fencing.test_an_outcome_of_an_unknown_job_is_no_error

    async def finish(self, outcomes: Sequence[Outcome], **options: Any) -> list[int]:
        known = {job.id for job in await self.find(JobFilter(), limit=1000)}
        for outcome in outcomes:
            if outcome.job_id not in known:
                raise KeyError(outcome.job_id)
        return await super().finish(outcomes, **options)


class GivesTheClaimBack(Broken):
    caught_by = Fencing.test_after_a_release_the_old_claim_is_lost

    async def finish(self, outcomes: Sequence[Outcome], **options: Any) -> list[int]:
        written = await super().finish(outcomes, **options)
        released = {outcome.job_id for outcome in outcomes if outcome.kind == "released"}
        for record in self.live(State.READY):
            record.claim -= record.id in released
        return written


class RescuesFromTheLiving(Broken):
    caught_by = Rescuing.test_only_the_jobs_of_the_dead_are_given_back_sorted_by_id
    seen_by_model = True

    async def rescue(self, *, now: datetime | None = None) -> list[JobState]:
        self._engine.store.leases.clear()
        return await super().rescue(now=now)


class CountsNoLosses(Broken):
    caught_by = Rescuing.test_a_job_ends_as_failed_with_its_last_loss
    seen_by_model = True

    async def rescue(self, *, now: datetime | None = None) -> list[JobState]:
        for record in self.live(State.RUNNING):
            record.losses -= 1
        return await super().rescue(now=now)


class RescuesWhatWasToStop(Broken):
    caught_by = Rescuing.test_a_lost_job_that_was_asked_to_stop_ends_as_cancelled

    async def rescue(self, *, now: datetime | None = None) -> list[JobState]:
        for record in self.live(State.RUNNING):
            record.cancel_requested_at = None
        return await super().rescue(now=now)


class SupersedesNobody(Broken):
    caught_by = Superseding.test_a_run_that_would_wait_beside_its_twin_ends_as_cancelled

    async def finish(self, outcomes: Sequence[Outcome], **options: Any) -> list[int]:
        self._engine.store.unique.clear()
        return await super().finish(outcomes, **options)


class SupersedesByTheYounger(Broken):
    caught_by = Superseding.test_of_two_runs_with_one_key_the_older_one_has_it_back

    async def finish(self, outcomes: Sequence[Outcome], **options: Any) -> list[int]:
        written: list[int] = []
        for outcome in outcomes:
            written += await super().finish([outcome], **options)
        return sorted(written)


class RevivesWhatRunsOnce(Broken):
    caught_by = AtMostOnce.test_a_lost_job_of_one_life_fails
    seen_by_model = True

    async def rescue(self, *, now: datetime | None = None) -> list[JobState]:
        for record in self.live(State.RUNNING):
            record.delivery = "at_least_once"
        return await super().rescue(now=now)


class ReleasesWhatRunsOnce(Broken):
    caught_by = AtMostOnce.test_a_job_of_one_life_fails_when_its_worker_leaves

    async def leave(self, worker: int, *, now: datetime | None = None) -> list[JobState]:
        for record in self.live(State.RUNNING):
            record.delivery = "at_least_once"
        return await super().leave(worker, now=now)


class ForgetsCorrections(ChangesOutcomes):
    caught_by = AtMostOnce.test_an_outcome_may_correct_the_delivery_of_a_job_that_goes_on

    def changed(self, outcome: Outcome) -> Outcome:
        return attrs.evolve(outcome, delivery=None)


class HearsOldRuns(Broken):
    caught_by = Progressing.test_only_a_current_run_is_heard
    seen_by_model = True

    async def heartbeat(self, *given: Any, progress: Sequence[Progress] = (), **options: Any) -> list[int]:
        claims = {record.id: record.claim for record in self.live(State.RUNNING)}
        heard = [attrs.evolve(word, claim=claims.get(word.job_id, 0)) for word in progress]
        return await super().heartbeat(*given, progress=heard, **options)


class HearsTheFirstWord(Broken):
    caught_by = Progressing.test_a_stale_word_does_not_hide_a_current_one

    async def heartbeat(self, *given: Any, progress: Sequence[Progress] = (), **options: Any) -> list[int]:
        return await super().heartbeat(*given, progress=[*reversed(progress)], **options)


class ForgetsTheLastWord(ChangesOutcomes):
    caught_by = Progressing.test_an_outcome_brings_the_last_word
    seen_by_model = True

    def changed(self, outcome: Outcome) -> Outcome:
        return attrs.evolve(outcome, progress=None)


class TellsNoWaiters(Broken):
    caught_by = Waiting.test_what_ended_before_the_wait_but_in_the_watch_is_told

    def watch(self, job_id: int) -> AbstractAsyncContextManager[Watch]:
        return deaf_watch()


class TellsTooSoon(Broken):
    caught_by = Waiting.test_a_job_that_goes_on_has_not_ended

    @asynccontextmanager
    async def watch(self, job_id: int) -> AsyncIterator[Watch]:
        async with super().watch(job_id) as watch:
            self._engine._watches[job_id][0]()
            yield watch


class LeavesJobsBehind(Broken):
    caught_by = Leasing.test_a_worker_that_leaves_gives_its_jobs_back_with_their_attempts
    seen_by_model = True

    async def leave(self, worker: int, *, now: datetime | None = None) -> list[JobState]:
        self._engine.store.leases.pop(worker, None)
        return []


class StopsRunningJobsAtOnce(Broken):
    caught_by = Cancelling.test_a_running_job_is_asked_to_stop

    async def cancel(self, ids: Sequence[int], **options: Any) -> list[JobState]:
        states = await super().cancel(ids, **options)
        for record in self.live(State.RUNNING):
            if record.cancel_requested_at:
                await self.finish([Outcome(job_id=record.id, claim=record.claim, kind="cancelled")])
        return states


class BelievesTheLastRequest(Broken):
    caught_by = Cancelling.test_the_first_request_counts_and_a_second_is_answered
    seen_by_model = True

    async def cancel(self, ids: Sequence[int], **options: Any) -> list[JobState]:
        for record in self.live(State.RUNNING):
            if record.id in ids:
                record.cancel_requested_at = None
        return await super().cancel(ids, **options)


class RetriesWhatIsLive(Broken):
    caught_by = Reviving.test_live_jobs_are_left_alone
    seen_by_model = True

    async def retry(self, ids: Sequence[int], **options: Any) -> list[JobState]:
        for record in self.live(State.READY):
            record.attempt += record.id in ids
        return await super().retry(ids, **options)


class ForgetsClaimsAtRetry(Broken):
    caught_by = Reviving.test_a_job_may_end_and_be_retried_over_and_over

    async def retry(self, ids: Sequence[int], **options: Any) -> list[JobState]:
        states = await super().retry(ids, **options)
        for found in states:
            self._engine.store.live[found.id].claim = 0
        return states


class ReschedulesWhatRuns(Broken):
    caught_by = Rescheduling.test_running_and_ended_jobs_are_left_alone
    seen_by_model = True

    async def reschedule(self, ids: Sequence[int], changes: JobChanges, **options: Any) -> list[JobState]:
        states = await super().reschedule(ids, changes, **options)
        for record in self.live(State.RUNNING):
            if record.id in ids and changes.priority is not None:
                record.priority = changes.priority
        return states


class PrunesOneTickTooMuch(Broken):
    caught_by = Pruning.test_the_age_is_exact_and_a_job_of_just_that_age_stays

    async def prune(self, older_than: timedelta | None, **options: Any) -> int:
        return await super().prune(None if older_than is None else older_than - TICK, **options)


class FindsOnlyTheLiving(Broken):
    caught_by = Finding.test_live_and_ended_jobs_are_found_alike_in_order_of_id
    seen_by_model = True

    async def find(self, which: JobFilter, **options: Any) -> list[Job]:
        return [job for job in await super().find(which, **options) if not job.ended]


class RepeatsTheLastOfAPage(Broken):
    caught_by = Finding.test_pages_follow_each_other_by_the_last_id
    seen_by_model = True

    async def find(self, which: JobFilter, *, after: int = 0, **options: Any) -> list[Job]:
        return await super().find(which, after=max(after - 1, 0), **options)


class CountsNoZeroes(Broken):
    caught_by = Finding.test_every_state_is_counted_if_only_with_zero

    async def count(self, which: JobFilter, **options: Any) -> dict[State, int]:
        return {state: n for state, n in (await super().count(which, **options)).items() if n}


class SortsQueuesLikeWords(Broken):
    caught_by = Pausing.test_queues_are_sorted_by_code_points

    async def queues(self, **options: Any) -> list[QueueInfo]:
        return sorted(await super().queues(**options), key=lambda queue: queue.name.casefold())


class ForgetsPauses(Broken):
    caught_by = Pausing.test_a_paused_queue_gives_nothing_until_it_is_resumed
    seen_by_model = True

    async def pause(self, *_: Any, **__: Any) -> None:
        return


class IgnoresConnections(Broken):
    caught_by = Transacting.test_a_rollback_leaves_no_job
    seen_by_model = True

    async def defer(self, jobs: Sequence[NewJob], *, connection: Any = None, **options: Any) -> list[Deferred]:
        return await super().defer(jobs, **options)


class RingsBeforeTheCommit(Broken):
    caught_by = Listening.test_it_wakes_at_the_commit_and_not_before

    async def defer(self, jobs: Sequence[NewJob], **options: Any) -> list[Deferred]:
        self._engine.ring_for_all()
        return await super().defer(jobs, **options)


class RingsForEveryQueue(Broken):
    caught_by = Listening.test_it_does_not_wake_for_other_queues

    async def listen(self, queues: Sequence[str] | None, wake: Callable[[], None]) -> None:
        await super().listen(None, wake)


class ResumesInSilence(Broken):
    caught_by = Listening.test_it_wakes_for_all_that_makes_a_job_ready_or_asks_it_to_stop

    async def resume(self, queue: str | None = None, **_: Any) -> None:
        self._engine.store.pauses.pop(("queue", queue or ""), None)


class PrunesJobsOfEveryEnd(Broken):
    caught_by = Pruning.test_only_jobs_that_ended_so_are_pruned

    async def prune(self, older_than: timedelta | None, *, states: Any = None, **options: Any) -> int:
        return await super().prune(older_than, **options)


class PrunesWithoutLimit(Broken):
    caught_by = Pruning.test_in_steps_no_more_are_forgotten_than_the_limit_of_a_day_that_is_not_over

    async def prune(self, older_than: timedelta | None, *, limit: Any = None, **options: Any) -> int:
        return await super().prune(older_than, **options)


class HidesTheLost(Broken):
    caught_by = TellingOfWorkers.test_a_worker_is_alive_until_its_lease_ends_and_known_until_it_is_missed

    async def workers(self, **options: Any) -> list[WorkerStatus]:
        return [status for status in await super().workers(**options) if status.alive]


class SharesDetails(Broken):
    caught_by = TellingOfWorkers.test_what_is_listed_may_be_changed_freely

    async def workers(self, **options: Any) -> list[WorkerStatus]:
        seen = self._engine.store.seen
        return [attrs.evolve(each, info=seen[each.info.id].info) for each in await super().workers(**options)]


class LooksByLockMode(Broken):
    caught_by = Standings.test_it_names_who_runs_under_its_lock
    seen_by_model = True

    async def standing(self, job_id: int, **options: Any) -> Standing:
        job = self._engine.store.live.get(job_id)
        found = await super().standing(job_id, **options)
        return attrs.evolve(found, holder=None) if job and job.lock_mode == "mutex" else found


class CountsForEver(Broken):
    caught_by = Standings.test_no_more_are_counted_than_need_be

    async def standing(self, job_id: int, **options: Any) -> Standing:
        found = await super().standing(job_id, **options)
        return attrs.evolve(found, ahead=len(self.live(State.READY)) - 1) if found.ahead > 100 else found


class ServesByNameOnly(Broken):
    caught_by = TellingOfHealth.test_a_queue_is_served_by_a_live_worker_that_names_it_or_none

    async def health(self, **options: Any) -> Health:
        found = await super().health(**options)
        named = {queue for seen in self._engine.store.seen.values() for queue in seen.info.queues or ()}
        queues = [attrs.evolve(queue, served=queue.name in named) for queue in found.queues]
        return attrs.evolve(found, queues=queues)


class TicksForEveryone(Broken):
    caught_by = Ticking.test_a_tick_counts_once_whoever_comes_with_it
    seen_by_model = True

    async def tick(self, moves: Sequence[Move], **options: Any) -> Ticked:
        stored = self._engine.store.schedules
        known = [attrs.evolve(move, revision=stored[move.id].revision) if move.id in stored else move for move in moves]
        return await super().tick(known, **options)


class TicksOnlyOnce(Broken):
    caught_by = Ticking.test_several_ticks_are_one_step_and_their_jobs_have_ids_in_order

    async def tick(self, moves: Sequence[Move], **options: Any) -> Ticked:
        return await super().tick([attrs.evolve(move, ticks=move.ticks[-1:]) for move in moves], **options)


class TicksWhatIsPaused(Broken):
    caught_by = Ticking.test_a_paused_schedule_does_not_tick

    async def pause_schedules(self, ids: Sequence[str], **options: Any) -> list[str]:
        return [found.id for found in await self.schedules(ids)]


class PlansAnewAtEveryChange(Broken):
    caught_by = PuttingSchedules.test_a_change_keeps_the_next_tick

    async def put_schedules(
        self, schedules: Sequence[NewSchedule], *, now: datetime | None = None, **options: Any
    ) -> list[str]:
        put = await super().put_schedules(schedules, now=now, **options)
        for name in put:
            self._engine.store.schedules[name].next_tick = now or datetime.now(UTC)
        return put


class LetsAnyoneChangeWhatCodeDeclares(Broken):
    caught_by = PuttingSchedules.test_what_code_declares_is_left_alone_until_the_declaration_has_run_out

    async def put_schedules(
        self, schedules: Sequence[NewSchedule], *, declared: bool = False, **options: Any
    ) -> list[str]:
        if not declared:
            for each in schedules:
                if each.id in self._engine.store.schedules:
                    self._engine.store.schedules[each.id].declared_at = None
        return await super().put_schedules(schedules, declared=declared, **options)


class NeverCloses(Broken):
    caught_by = Opening.test_a_closed_connector_says_so

    async def close(self) -> None:
        return


class HasNoKeys(Changed):
    caught_by = Uniqueness.test_a_second_job_of_a_key_is_refused_and_told_who_has_it
    seen_by_model = True

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, unique_key=None, unique_period=None)


class NamesNobody(Broken):
    caught_by = Uniqueness.test_a_second_job_of_a_key_is_refused_and_told_who_has_it

    async def defer(self, jobs: Sequence[NewJob], **options: Any) -> list[Deferred]:
        try:
            return await super().defer(jobs, **options)
        except AlreadyDeferred as error:
            error.job_id = 0
            raise


class StoresWhatCameBefore(Broken):
    caught_by = Uniqueness.test_a_batch_in_which_a_key_is_taken_is_refused_whole
    seen_by_model = True

    async def defer(self, jobs: Sequence[NewJob], **options: Any) -> list[Deferred]:
        try:
            return await super().defer(jobs, **options)
        except AlreadyDeferred as error:
            await super().defer(jobs[: error.index or 0], **options)
            raise


class MeetsOnlyOthers(Broken):
    caught_by = Uniqueness.test_of_one_key_in_a_batch_the_later_meets_the_earlier
    seen_by_model = True

    async def defer(self, jobs: Sequence[NewJob], **options: Any) -> list[Deferred]:
        keys = [(job.unique_scope, job.unique_key) for job in jobs]
        alone = [
            attrs.evolve(job, unique_key=f"{job.unique_key} {place}") if job.unique_key and key in keys[:place] else job
            for place, (job, key) in enumerate(zip(jobs, keys, strict=True))
        ]
        return await super().defer(alone, **options)


class KnowsOneScope(Changed):
    caught_by = Uniqueness.test_keys_of_the_two_scopes_do_not_see_each_other
    seen_by_model = True

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, unique_scope="waiting")


class SkipsWhatReplaces(Changed):
    caught_by = Replacing.test_it_does_what_the_new_one_was_to_do_and_stays_the_job_that_it_was
    seen_by_model = True

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, on_conflict="skip") if job.on_conflict == "replace" else job


class ReplacesOnlyArguments(Broken):
    caught_by = Replacing.test_its_time_is_that_of_the_new_one
    seen_by_model = True

    async def defer(self, jobs: Sequence[NewJob], **options: Any) -> list[Deferred]:
        before = {job.id: (job.state, job.scheduled_at) for job in self._engine.store.live.values()}
        answers = await super().defer(jobs, **options)
        for answer in answers:
            record = self._engine.store.live.get(answer.id)
            if answer.status == "replaced" and record and answer.id in before and not self._engine.store.in_hand:
                with self._engine.store.changing(record):
                    record.state, record.scheduled_at = before[answer.id]
        return answers


class ReplacesWhatRuns(Broken):
    caught_by = Replacing.test_a_running_job_is_left_alone
    seen_by_model = True

    async def defer(self, jobs: Sequence[NewJob], **options: Any) -> list[Deferred]:
        answers = await super().defer(jobs, **options)
        return [
            attrs.evolve(answer, status="replaced")
            if job.on_conflict == "replace" and answer.status == "skipped"
            else answer
            for job, answer in zip(jobs, answers, strict=True)
        ]


class ForgetsPeriods(Changed):
    caught_by = KeptPeriods.test_a_key_is_taken_until_the_period_is_over_to_the_microsecond
    seen_by_model = True

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, unique_period=None)


class KeepsPeriodsTooLong(Changed):
    caught_by = KeptPeriods.test_a_key_is_taken_until_the_period_is_over_to_the_microsecond

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, unique_period=job.unique_period and job.unique_period + TICK)


class LetsTheExpiredBlockAKey(Changed):
    caught_by = LateStarters.test_an_expired_job_has_no_key

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, expires_at=None)


class RevivesTwins(Broken):
    caught_by = RevivingTwins.test_a_job_whose_key_is_taken_stays_as_it_is_and_is_not_in_the_answer

    async def retry(self, ids: Sequence[int], *, now: datetime | None = None) -> list[JobState]:
        for job_id in ids:
            record = self._engine.store.ended.get(job_id)
            if record:
                record.unique_key = record.unique_scope = None
        return await super().retry(ids, now=now)


class RevivesTheYounger(Broken):
    caught_by = RevivingTwins.test_of_two_ended_twins_the_older_comes_back

    async def retry(self, ids: Sequence[int], *, now: datetime | None = None) -> list[JobState]:
        back = [
            found
            for job_id in sorted(ids)[::-1]
            for found in await super(RevivesTheYounger, self).retry([job_id], now=now)
        ]
        return back[::-1]


class ClaimsWhatHasExpired(Changed):
    caught_by = Expiring.test_many_expire_and_none_of_them_is_claimed_nor_holds_up_others

    def changed(self, job: NewJob) -> NewJob:
        return attrs.evolve(job, expires_in=None)


class ExpiresTooLate(Changed):
    caught_by = Expiring.test_a_job_is_claimed_until_just_before_it_expires

    def changed(self, job: NewJob) -> NewJob:
        return job if job.expires_in is None else attrs.evolve(job, expires_in=job.expires_in + TICK)


class LetsNothingExpireInARescue(Broken):
    caught_by = Expiring.test_a_rescue_ends_it_too_and_does_not_answer_with_it
    seen_by_model = True

    async def rescue(self, **options: Any) -> list[JobState]:
        expiring = self._engine.store.expiring
        self._engine.store.expiring = type(expiring)()
        try:
            return await super().rescue(**options)
        finally:
            for place in expiring:
                self._engine.store.expiring.add(place)


class ForgetsNewExpiries(Broken):
    caught_by = Expiring.test_a_time_of_expiry_may_be_changed_and_taken_away
    seen_by_model = True

    async def reschedule(self, ids: Sequence[int], changes: JobChanges, **options: Any) -> list[JobState]:
        return await super().reschedule(ids, attrs.evolve(changes, expires_at=UNCHANGED), **options)


class PausesQueuesForTasks(Broken):
    caught_by = PausingTasks.test_a_paused_task_gives_nothing_until_it_is_resumed
    seen_by_model = True

    async def pause(self, queue: str | None = None, *, task: str | None = None, **options: Any) -> None:
        await super().pause(queue or task, **options)


class ResumesTooMuch(Broken):
    caught_by = PausingTasks.test_resuming_one_task_leaves_another_paused
    seen_by_model = True

    async def resume(self, *what: Any, **options: Any) -> None:
        for pause in await super().pauses():
            await super().resume(**({"everything": True} if pause.kind == "all" else {pause.kind: pause.name}))
        await super().resume(*what, **options)


class LeavesResumedJobsBlocked(Broken):
    caught_by = PausingTasks.test_a_task_is_paused_in_every_queue

    async def resume(self, queue: str | None = None, *, task: str | None = None, **options: Any) -> None:
        self._engine.store.pauses.pop(("task", task or ""), None)
        await super().resume(queue, task=task, **options)


class RemembersTheLastPause(Broken):
    caught_by = PausingAll.test_what_is_paused_is_listed_by_kind_and_name_with_its_time

    async def pause(self, queue: str | None = None, *, task: str | None = None, **options: Any) -> None:
        self._engine.store.pauses.pop(("task", task or ""), None)
        await super().pause(queue, task=task, **options)


class PausesNothingUnnamed(Broken):
    caught_by = PausingAll.test_one_thing_must_be_named

    async def pause(self, queue: str | None = None, *, task: str | None = None, **options: Any) -> None:
        await super().pause(queue, task=None if queue else task, **{"everything": not (queue or task)} | options)


class PurgesWhatRuns(Broken):
    caught_by = Purging.test_waiting_and_ended_jobs_are_deleted_and_running_ones_left_alone
    seen_by_model = True

    async def purge(self, ids: Sequence[int], **options: Any) -> list[int]:
        for record in self.live(State.RUNNING):
            if record.id in ids:
                self._engine.store.end(record, State.CANCELLED, record.created_at)
        return await super().purge(ids, **options)


class KeepsKeysOfThePurged(Broken):
    caught_by = Purging.test_its_unique_key_is_free_again

    async def purge(self, ids: Sequence[int], **options: Any) -> list[int]:
        periods = dict(self._engine.store.periods)
        gone = await super().purge(ids, **options)
        self._engine.store.periods = periods
        return gone


class TakesTrueForOne(Broken):
    caught_by = Filtering.test_other_json_is_not_found

    async def find(self, which: JobFilter, **options: Any) -> list[Job]:
        wanted = (which.args or {}).items()
        jobs = await super().find(attrs.evolve(which, args=None), **options)
        return [job for job in jobs if all(name in job.args and job.args[name] == value for name, value in wanted)]


class FindsUpToTheMoment(Broken):
    caught_by = Filtering.test_jobs_are_found_by_when_they_were_created

    async def find(self, which: JobFilter, **options: Any) -> list[Job]:
        before = which.created_before and which.created_before + TICK
        return await super().find(attrs.evolve(which, created_before=before), **options)


class KeepsKeysAfterARollback(Broken):
    caught_by = KeysInTransactions.test_a_savepoint_rolled_back_gives_its_keys_back

    def transaction(self) -> MemoryTransaction:
        transaction = super().transaction()
        transaction._draft.go_back = lambda mark: None  # type: ignore[method-assign]
        return transaction


def whole(value: Any) -> Any:
    """Return a value as a store would that takes every number for the same kind."""
    if isinstance(value, Mapping):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def concrete(kind: type[Broken]) -> list[type[Broken]]:
    """Return the classes below it that are broken in a way."""
    below = [found for child in kind.__subclasses__() for found in (child, *concrete(child))]
    return [found for found in below if hasattr(found, "caught_by")]


BROKEN = sorted(set(concrete(Broken)), key=lambda kind: kind.__name__)


class OnMemory:
    """Fixtures of a connector in memory."""

    make: ClassVar[type[InMemoryConnector]]

    @pytest.fixture
    async def connector(self) -> AsyncIterator[InMemoryConnector]:
        connector = self.make()
        await connector.open()
        yield connector
        await connector.close()

    @pytest.fixture
    def transactions(self, connector: InMemoryConnector) -> Transactions:
        return MemoryTransactions(connector)


class TestCheating(OnMemory, ConnectorConformance):
    """Leaves a case out."""

    make = InMemoryConnector

    def test_ids_grow_in_the_order_of_deferring(self) -> None:  # type: ignore[override]
        return


class TestModest(OnMemory, ConnectorConformance):
    """Does not claim to do all that can be done."""

    make = InMemoryConnector
    supports_connection = supports_listen = supports_fork = supports_schedules = False
    transactions = Case.transactions


CASES = [
    "TestCheating::test_no_case_is_overridden_but_to_say_why_it_fails",
    "TestModest::test_ids_grow_in_the_order_of_deferring",
    "TestModest::test_a_rollback_leaves_no_job",
    "TestModest::test_it_wakes_at_the_commit_and_not_before",
    "TestModest::test_it_wakes_once_at_the_start",
    "TestModest::test_a_connector_in_a_fork_says_so",
    "TestModest::test_without_schedules_nothing_is_due",
]
"""What test_mutants is to run of this file."""

for mutant in BROKEN:
    topic, _, wanted = mutant.caught_by.__qualname__.partition(".")
    (base,) = (found for found in TOPICS if found.__name__ == topic)
    name = f"Test{mutant.__name__}"
    globals()[name] = type(name, (OnMemory, base), {"make": mutant, "__module__": __name__})
    CASES.append(f"{name}::{wanted}")
