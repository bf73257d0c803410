"""SQL functions that are broken on purpose, each in one place. The suite must see it: that is what test_mutants asks.

Not collected with the other tests; test_mutants runs this file in a pytest of its own.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import attrs
import psycopg
import pytest

from pq_core.postgres import PsycopgConnector
from pq_core.postgres.schema import functions, search_path
from pq_testing.conformance import TOPICS, case
from pq_testing.conformance.deferring import Deferring
from pq_testing.conformance.ending import AtMostOnce, Progressing, Superseding
from pq_testing.conformance.expiring import Expiring
from pq_testing.conformance.fetching import Fetching, Sharing
from pq_testing.conformance.filtering import Filtering
from pq_testing.conformance.finishing import Fencing, GoingOn
from pq_testing.conformance.keys_in_transactions import KeysInTransactions
from pq_testing.conformance.listening import Listening
from pq_testing.conformance.listing import Pausing
from pq_testing.conformance.locking import Freeing, Locking
from pq_testing.conformance.mutex import Mutex
from pq_testing.conformance.pausing import PausingAll, PausingTasks
from pq_testing.conformance.pruning import Pruning
from pq_testing.conformance.purging import Purging
from pq_testing.conformance.reporting import Standings, TellingOfHealth, TellingOfWorkers
from pq_testing.conformance.rescuing import Leasing, Rescuing
from pq_testing.conformance.scheduling import PuttingSchedules, Ticking
from pq_testing.conformance.steering import Cancelling, Rescheduling, Reviving
from pq_testing.conformance.terms import Terms
from pq_testing.conformance.uniqueness import (
    KeptPeriods,
    LateStarters,
    Replacing,
    RevivingTwins,
    Uniqueness,
)
from pq_testing.conformance.waiting import Waiting

case.DEADLINE = 0.5
TABLES = ("jobs", "finished_jobs", "workers", "pauses", "unique_periods", "schedules", "waits")
CLAIM = r"and j\.claim = finish\.claims\[width_bucket\(j\.id, finish\.ids\)\]"
FROM_HEAD = r"c\.id = c\.head or c\.lock_mode = 'mutex'"


@attrs.frozen
class Mutant:
    """One function with one change.

    Attributes:
        old: a pattern; where it is found in the text of the function, `new` takes its place.
        caught_by: the case that must fail.
    """

    name: str
    function: str
    old: str
    new: str
    caught_by: Callable[..., Any]

    @property
    def text(self) -> str:
        """The function with its change."""
        sound = self.sound_text
        broken = re.sub(self.old, self.new, sound)
        assert broken != sound, f"{self.function}.sql has no {self.old!r} any more: change the mutant {self.name}"
        return broken

    @property
    def sound_text(self) -> str:
        """The function without."""
        (text,) = (function.text for function in functions() if function.name == self.function)
        return text


BROKEN = [
    Mutant("DefersInReverse", "defer_many", r"order by g\.place", r"order by g.place desc",
           Deferring.test_ids_grow_in_the_order_of_deferring),
    Mutant("SchedulesWhatIsDue", "defer", r"due > at", "due >= at",
           Deferring.test_a_job_is_scheduled_only_if_it_is_due_later_than_now),
    Mutant("ForgetsVersionsOfBatches", "given_jobs", r"coalesce\(g\.version, \$13\[1\]\)", "1",
           Terms.test_each_job_of_a_batch_has_its_own_terms),
    Mutant("ForgetsVersionsAtTheClaim", "fetch", r"'version', j\.version", "'version', 1",
           Terms.test_a_claimed_job_has_its_terms),
    Mutant("ForgetsVersionsAtTheEnd", "finish", r"g\.delivery, g\.version,", "g.delivery, 1,",
           Terms.test_a_job_that_has_ended_had_its_terms),
    Mutant("ForgetsVersionsOfTheBuried", "bury", r"g\.delivery, g\.version,", "g.delivery, 1,",
           Terms.test_a_job_that_never_ran_had_its_terms),
    Mutant("ForgetsVersionsAtARetry", "retry", r"g\.delivery, g\.version,", "g.delivery, 1,",
           Terms.test_a_job_that_is_retried_has_its_terms_but_no_expiry),
    Mutant("LetsADeadWorkerFetch", "fetch", r"lease_until > at", "lease_until >= at",
           Fetching.test_a_worker_whose_lease_has_run_out_gets_an_error),
    Mutant("PromotesTooLate", "promote", r"scheduled_at <= promote\.at", "scheduled_at < promote.at",
           Fetching.test_a_job_is_not_claimed_before_it_is_due),
    Mutant("TakesTheOldest", "take", r"order by j\.priority desc, j\.id limit each", "order by j.id limit each",
           Fetching.test_a_limit_takes_the_first_ones),
    Mutant("SharesTooMuch", "fetch", r"2\.0 \* wanted", "20.0 * wanted",
           Sharing.test_one_call_claims_no_more_of_a_queue_than_its_share),
    Mutant("ServesPausedQueues", "fetch", r"p\.name = q\b", "p.name = q and false",
           Pausing.test_a_paused_queue_gives_nothing_until_it_is_resumed),
    Mutant("TakesWhoeverComes", "judge", FROM_HEAD, "true",
           Locking.test_a_job_waits_for_an_earlier_one_that_is_scheduled),
    Mutant("KnowsNoMutex", "judge", FROM_HEAD, "c.id = c.head",
           Mutex.test_a_job_overtakes_one_that_is_scheduled),
    Mutant("RunsTwoOfALock", "judge", r"not c\.busy and c\.id", "c.id",
           Locking.test_a_higher_priority_does_not_run_beside_the_running_one),
    Mutant("WakesNobody", "wake", r"if wake\.lock_keys is null", "if true or wake.lock_keys is null",
           Freeing.test_cancelling_a_waiting_head_lets_the_next_run),
    Mutant("WakesOnlyHeads", "wake", r" union select m\.id from mutex m union select l\.id from last_life l", "",
           Mutex.test_a_freed_lock_is_had_by_a_blocked_job_behind_a_scheduled_head),
    Mutant("ForgetsLastLives", "wake", r" union select l\.id from last_life l", "",
           Mutex.test_a_freed_lock_is_had_by_a_blocked_job_in_its_last_life_before_others),
    Mutant("WakesInSilence", "make_ready", r"perform announce\(awake, waiting\)", "perform cardinality(awake)",
           Listening.test_it_wakes_for_all_that_makes_a_job_ready_or_asks_it_to_stop),
    Mutant("HasNoFence", "finish", CLAIM, "",
           Fencing.test_after_a_rescue_the_old_claim_is_lost),
    Mutant("FinishesWhatWaits", "finish", r"and \(j\.state = 'running'\) is true", "",
           Fencing.test_a_job_that_waits_cannot_be_finished),
    Mutant("KeepsTheAttempt", "finish", r"<> 'retried'\)::integer", "= 'none')::integer",
           GoingOn.test_a_snoozed_or_released_job_gets_its_attempt_back_but_not_its_claim),
    Mutant("ForgetsTheRequest", "finish", r"j\.cancel_requested_at is not null", "false",
           Cancelling.test_a_job_asked_to_stop_that_would_go_on_ends_as_cancelled),
    Mutant("KeepsAllErrors", "with_error", r"last - 9 to last", "0 to last",
           GoingOn.test_the_last_ten_errors_are_kept_the_oldest_first),
    Mutant("StopsEverything", "heartbeat", r"and j\.cancel_requested_at is not null", "",
           Leasing.test_a_heartbeat_says_which_jobs_of_the_worker_were_asked_to_stop),
    Mutant("ReleasesWithoutTheAttempt", "give_back", r"j\.attempt - \(not give_back\.lost\)::integer", "j.attempt",
           Leasing.test_a_worker_that_leaves_gives_its_jobs_back_with_their_attempts),
    Mutant("RescuesTooLate", "rescue", r"lease_until <= at", "lease_until < at",
           Rescuing.test_a_lease_has_run_out_at_its_end_and_not_before),
    Mutant("CountsNoLosses", "give_back", r"losses = j\.losses \+ 1", "losses = j.losses",
           Rescuing.test_a_job_ends_as_failed_with_its_last_loss),
    Mutant("LetsKeysClash", "finish", r"j\.unique_scope = 'waiting'", "j.unique_scope = 'none'",
           Superseding.test_a_run_that_would_wait_beside_its_twin_ends_as_cancelled),
    Mutant("NamesNoTwin", "finish", r"superseded by job %s", "superseded",
           Superseding.test_a_run_that_would_wait_beside_its_twin_ends_as_cancelled),
    Mutant("GivesTheKeyToTheYounger", "reclaim", r'collate "C", j\.id', 'collate "C", j.id desc',
           Superseding.test_of_two_runs_with_one_key_the_older_one_has_it_back),
    Mutant("SupersedesByTheExpired", "reclaim", r"elsif other\.attempt = 0 and", "elsif false and",
           Superseding.test_an_expired_twin_is_in_nobodys_way_and_ends),
    Mutant("LeavesTheLockOfTheExpired", "finish", r"freed \|\| moved \|\| expired", "freed || moved",
           Superseding.test_an_expired_twin_is_in_nobodys_way_and_ends),
    Mutant("SupersedesByWhatRuns", "reclaim",
           r"and o\.state in \('scheduled', 'ready', 'blocked'\)", "and o.id <> job.id",
           Superseding.test_a_twin_that_runs_or_has_ended_is_in_nobodys_way),
    Mutant("RevivesWhatRunsOnce", "give_back", r" or j\.delivery = 'at_most_once'\)", ")",
           AtMostOnce.test_a_lost_job_of_one_life_fails),
    Mutant("CountsNoLossOfWhatRunsOnce", "give_back",
           r"give_back\.lost or \(j\.delivery", "give_back.lost or (false and j.delivery",
           AtMostOnce.test_a_job_of_one_life_fails_when_its_worker_leaves),
    Mutant("ForgetsCorrections", "finish", r"coalesce\(finish\.deliveries\[", "coalesce((array[]::text[])[",
           AtMostOnce.test_an_outcome_may_correct_the_delivery_of_a_job_that_goes_on),
    Mutant("HearsOldRuns", "heartbeat",
           r"and j\.claim = heartbeat\.progress_claims\[width_bucket\(j\.id, heartbeat\.progress_ids\)\]", "",
           Progressing.test_only_a_current_run_is_heard),
    Mutant("KeepsTheTimeOfProgress", "stamped", r"'at', to_char", "'when', to_char",
           Progressing.test_a_heartbeat_tells_of_it_with_the_time),
    Mutant("ForgetsTheLastWord", "finish",
           r"coalesce\(stamped\(finish\.progresses\[", "coalesce(stamped((array[]::text[])[",
           Progressing.test_an_outcome_brings_the_last_word),
    Mutant("TellsNoWaiters", "tell_waiters", r"if exists", "if not exists",
           Waiting.test_what_ended_before_the_wait_but_in_the_watch_is_told),
    Mutant("BuriesInSilence", "bury", r"perform tell_waiters\(bury\.ids\);", "",
           Waiting.test_a_waiting_job_that_is_cancelled_is_told_of),
    Mutant("BelievesTheLastRequest", "cancel", r"and j\.cancel_requested_at is null", "",
           Cancelling.test_the_first_request_counts_and_a_second_is_answered),
    Mutant("ForgetsClaimsAtRetry", "retry", r"0, g\.claim, 0", "0, 0, 0",
           Reviving.test_a_job_may_end_and_be_retried_over_and_over),
    Mutant("ReschedulesWhatRuns", "reschedule", r"and \(j\.state = 'running'\) is false", "",
           Rescheduling.test_running_and_ended_jobs_are_left_alone),
    Mutant("PrunesTooMuch", "forget_jobs", r"f\.finished_at < \$1", "f.finished_at <= $1",
           Pruning.test_the_age_is_exact_and_a_job_of_just_that_age_stays),
    Mutant("PrunesWholeDaysTooSoon", "forget_days", r"h\.until <=", "h.until - interval '1 day' <=",
           Pruning.test_the_age_is_exact_and_a_job_of_just_that_age_stays),
    Mutant("PrunesJobsOfEveryEnd", "forget_jobs", r"f\.state = any \(\$2\)", "true",
           Pruning.test_only_jobs_that_ended_so_are_pruned),
    Mutant("PrunesWithoutLimit", "forget_jobs", r"limit \$3", "limit nullif($3, $3)",
           Pruning.test_in_steps_no_more_are_forgotten_than_the_limit_of_a_day_that_is_not_over),
    Mutant("BeginsAnewAtEachHeartbeat", "heartbeat", r"set heartbeat_at =", "set started_at = at, heartbeat_at =",
           TellingOfWorkers.test_each_heartbeat_is_noted_and_the_first_says_who_it_is),
    Mutant("ListsWorkersByNumber", "known_workers", r"order by w\.started_at, w\.id", "order by w.id",
           TellingOfWorkers.test_they_are_listed_in_the_order_in_which_they_came),
    Mutant("LetsWorkersLiveTooLong", "known_workers", r"w\.lease_until >", "w.lease_until >=",
           TellingOfWorkers.test_a_worker_is_alive_until_its_lease_ends_and_known_until_it_is_missed),
    Mutant("CountsEqualsAsBefore", "standing", r"j\.priority > it\.priority", "j.priority >= it.priority",
           Standings.test_ready_jobs_of_its_queue_are_before_it_by_priority_then_id),
    Mutant("CountsNoLastLives", "standing", r"j\.losses >= j\.max_losses - 1", "false",
           Standings.test_jobs_in_their_last_life_are_counted_and_such_that_are_not_ready_are_not),
    Mutant("PutsJobsBeforeThemselves", "standing", r"f where f\.id <> it\.id", "f",
           Standings.test_it_names_who_is_first_of_its_lock_in_any_state_and_queue),
    Mutant("LetsJobsWaitForThemselves", "standing", r" and r\.id <> it\.id", "",
           Standings.test_it_names_who_runs_under_its_lock),
    Mutant("TellsTheLastWait", "queue_waits", r"min\(l\.due\)", "max(l.due)",
           TellingOfHealth.test_each_priority_and_the_last_lives_have_a_line_of_their_own),
    Mutant("LooksAtOnePriority", "queue_waits", r"j\.priority < h\.priority", "j.priority < h.priority and false",
           TellingOfHealth.test_each_priority_and_the_last_lives_have_a_line_of_their_own),
    Mutant("LetsTheDeadServe", "queue_waits", r"w\.lease_until > \$1 and", "",
           TellingOfHealth.test_a_queue_is_served_by_a_live_worker_that_names_it_or_none),
    Mutant("SeesNoPauseOfAll", "queue_waits", r"p\.kind = 'all' or", "",
           TellingOfHealth.test_a_paused_queue_is_told_to_be_so),
    Mutant("MissesTheLost", "health", r"w\.lease_until <= at", "w.lease_until < at",
           TellingOfHealth.test_workers_are_counted_by_their_leases),
    Mutant("LooksForLiveJobsOnly", "store_unique", r"job\.unique_scope = 'waiting'", "false",
           Uniqueness.test_a_second_job_of_a_key_is_refused_and_told_who_has_it),
    Mutant("NamesTheLastOfABatch", "store_unique_many", r"job\.place < coalesce\(refused, job\.place \+ 1\)",
           "job.place > coalesce(refused, 0)",
           Uniqueness.test_the_first_job_of_a_batch_whose_key_is_taken_is_the_one_named),
    Mutant("StoresHalfABatch", "store_unique_many", r"refused is not null", "false",
           Uniqueness.test_a_batch_in_which_a_key_is_taken_is_refused_whole),
    Mutant("NamesWhatNeverWas", "store_unique_many", r"nullif\(met\.id, reserved\[.*?\]\)", "met.id",
           Uniqueness.test_a_batch_that_meets_itself_is_refused_and_names_no_job_that_never_was),
    Mutant("AnswersInReverse", "store_unique_many", r"ids := reserved;",
           "ids := array(select r from unnest(reserved) r order by r desc);",
           Uniqueness.test_ids_keep_the_order_of_the_batch_whatever_the_keys),
    Mutant("ReplacesWithoutTime", "replace_waiting", r"state = job\.state, scheduled_at = job\.scheduled_at, ", "",
           Replacing.test_its_time_is_that_of_the_new_one),
    Mutant("StepsBackInSilence", "replace_waiting", r"freed := array\[before\.lock_key\]", "freed := '{}'",
           Replacing.test_a_job_that_steps_back_lets_the_next_of_its_lock_go_first),
    Mutant("PutsOffInSilence", "replace_waiting", r"before\.lock_mode = 'mutex'", "false",
           Replacing.test_a_mutex_job_that_is_put_off_lets_another_of_its_lock_go),
    Mutant("ReplacesWhatRuns", "store_unique", r"'replace' and holder\.state <> 'running'", "'replace'",
           Replacing.test_a_running_job_is_left_alone),
    Mutant("EndsPeriodsTooLate", "store_unique", r"p\.until > store_unique\.at", "p.until >= store_unique.at",
           KeptPeriods.test_a_key_is_taken_until_the_period_is_over_to_the_microsecond),
    Mutant("NotesNoPeriods", "store_unique_many", r"g\.unique_period > '0'", "false",
           KeptPeriods.test_the_jobs_of_a_batch_meet_it_too),
    Mutant("HurriesPastPeriods", "store_unique_many", r" and not lasting", "",
           KeptPeriods.test_a_batch_may_be_the_first_to_take_keys_for_a_time),
    Mutant("LooksAtNoPeriods", "store_unique_many", r"exists \(select from unique_periods\)", "false",
           KeptPeriods.test_the_jobs_of_a_batch_meet_it_too),
    Mutant("KeepsTheExpired", "store_unique", r"holder\.expires_at <= store_unique\.at", "false",
           LateStarters.test_an_expired_job_has_no_key),
    Mutant("RevivesTheYounger", "retry", r"g\.unique_scope, g\.id", "g.unique_scope, g.id desc",
           RevivingTwins.test_of_two_ended_twins_the_older_comes_back),
    Mutant("ForgetsTheKeysOfTheEnded", "retry", r"g\.unique_key, g\.unique_scope, null", "null, null, null",
           RevivingTwins.test_a_job_whose_key_is_taken_stays_as_it_is_and_is_not_in_the_answer),
    Mutant("RaisesInABatch", "store_unique_many", r"when sqlstate 'PQ004'", "when sqlstate 'PQ005'",
           KeysInTransactions.test_a_refused_batch_does_not_break_the_transaction),
    Mutant("TicksTwice", "tick", r"and c\.revision = tick\.revisions\[number\]", "",
           Ticking.test_a_tick_counts_once_whoever_comes_with_it),
    Mutant("TicksInAPause", "tick", r"and c\.paused_at is null for update", "for update",
           Ticking.test_a_paused_schedule_does_not_tick),
    Mutant("TicksTooLate", "tick", r"c\.next_tick <= at", "c.next_tick < at",
           Ticking.test_a_schedule_is_due_at_its_tick_and_not_before),
    Mutant("TicksWhatNobodyDeclares", "is_declared", r"> \$2 - interval '5 minutes'", "is not null",
           Ticking.test_an_undeclared_schedule_is_not_due),
    Mutant("ForgetsTheLastTick", "tick", r"coalesce\(due, c\.last_tick\)", "due",
           Ticking.test_a_move_without_ticks_keeps_the_last_one),
    Mutant("StoresNoExpiry", "store_tick", r"expires_at => due \+ s\.max_delay", "expires_at => null",
           Ticking.test_a_job_expires_as_late_as_its_tick_may_be),
    Mutant("RaisesAtATakenKey", "store_tick", r"=> 'skip'", "=> 'raise'",
           Ticking.test_a_tick_whose_unique_key_is_taken_is_spent),
    Mutant("StoresDueNow", "store_tick", r"scheduled_at => due", "scheduled_at => at",
           Ticking.test_several_ticks_are_one_step_and_their_jobs_have_ids_in_order),
    Mutant("KeepsTheOldPlan", "put_schedules", r"planned = s\.planned and .*?,\n", "planned = s.planned,\n",
           PuttingSchedules.test_another_cron_text_or_zone_looks_for_the_next_tick_anew),
    Mutant("UndoesWhatCodeDeclares", "put_schedules", r"or is_declared\(old\.declared_at, at\)", "",
           PuttingSchedules.test_what_code_declares_is_left_alone_until_the_declaration_has_run_out),
    Mutant("MakesUpForAPause", "pause_schedules", r"planned = \$2 and s\.planned", "planned = s.planned",
           PuttingSchedules.test_after_a_pause_the_next_tick_is_looked_for_anew),
    Mutant("ForgetsDeclarations", "put_schedules", r"set declared_at = at where", "set declared_at = null where",
           PuttingSchedules.test_a_declaration_is_prolonged),
    Mutant("ExpiresTooLate", "expire", r"expires_at <= expire\.at", "expires_at < expire.at",
           Expiring.test_a_job_is_claimed_until_just_before_it_expires),
    Mutant("ExpiresNeverAtAFetch", "fetch", r"if overdue then", "if false then",
           Expiring.test_a_fetch_ends_it_as_cancelled_and_says_why),
    Mutant("ExpiresNeverAtARescue", "rescue", r" \|\| \(select e\.freed from expire\(at, true\) e\)", "",
           Expiring.test_a_rescue_ends_it_too_and_does_not_answer_with_it),
    Mutant("ExpiresWhatWasStarted", "expire", r" and j\.attempt = 0", "",
           Expiring.test_a_rescue_leaves_a_job_alone_that_was_started_before),
    Mutant("ClaimsWhatHasExpired", "expire", r"limit 1000 for update", "limit 0 for update",
           Expiring.test_it_ends_in_every_queue_and_waiting_state_and_whatever_is_paused),
    Mutant("ExpiresInSilence", "fetch", r"perform wake\(expired\.freed\)", "perform cardinality(expired.freed)",
           Expiring.test_those_behind_the_lock_of_an_expired_job_go_on),
    Mutant("ForgetsNewExpiries", "reschedule", r"case when reschedule\.reexpire", "case when false",
           Expiring.test_a_time_of_expiry_may_be_changed_and_taken_away),
    Mutant("KnowsNoPausedTask", "take", r"j\.task = any \(take\.held_tasks\)", "false",
           PausingTasks.test_a_paused_task_gives_nothing_until_it_is_resumed),
    Mutant("LeavesResumedJobsBlocked", "resume", r"elsif paused then", "elsif false then",
           PausingTasks.test_a_task_is_paused_in_every_queue),
    Mutant("WakesPausedJobs", "wake", r"held := paused_tasks\(\)", "held := '{}'",
           PausingTasks.test_a_mutex_job_behind_it_runs),
    Mutant("HoldsInSilence", "hold", r"perform wake\(tried\)", "perform cardinality(tried)",
           PausingTasks.test_a_mutex_job_that_was_woken_before_the_pause_lets_the_next_one_run),
    Mutant("ResumesInSilence", "resume", r"perform announce\(awake, held\)", "perform cardinality(awake)",
           Listening.test_it_wakes_for_all_that_makes_a_job_ready_or_asks_it_to_stop),
    Mutant("PausesNotAll", "fetch", r"p\.kind = 'all' or", "",
           PausingAll.test_while_everything_is_paused_nothing_is_claimed),
    Mutant("SortsPausesLikeWords", "paused", r'p\.name collate "C"', "lower(p.name)",
           PausingAll.test_what_is_paused_is_listed_by_kind_and_name_with_its_time),
    Mutant("PurgesWhatRuns", "purge", r"and \(j\.state = 'running'\) is false", "",
           Purging.test_waiting_and_ended_jobs_are_deleted_and_running_ones_left_alone),
    Mutant("PurgesInSilence", "purge", r"perform wake\(freed\)", "perform cardinality(freed)",
           Purging.test_those_behind_the_lock_of_a_deleted_job_go_on),
    Mutant("KeepsKeysOfThePurged", "purge", r"delete from unique_periods u where u\.job_id = any \(gone\);", "",
           Purging.test_its_unique_key_is_free_again),
    Mutant("ComparesArgumentsAsText", "has_args", r"-> (w\.key\))::jsonb (.*) w\.value", r"->> \1 \2 w.value #>> '{}'",
           Filtering.test_other_json_is_not_found),
]  # fmt: skip


class OnPostgres:
    """Fixtures of a connector to a database with one broken function, which is mended again for the next mutant."""

    mutant: Mutant

    @pytest.fixture
    def dsn(self, migrated_dsn: str) -> Iterator[str]:
        with psycopg.connect(migrated_dsn, autocommit=True) as connection:
            connection.execute(f"set search_path = {search_path('pq')}")
            for table in TABLES:
                connection.execute(f"delete from {table}")
            connection.execute(self.mutant.text)
            yield migrated_dsn
            connection.execute(self.mutant.sound_text)

    @pytest.fixture
    async def connector(self, dsn: str) -> AsyncIterator[PsycopgConnector]:
        connector = PsycopgConnector(dsn)
        await connector.open()
        yield connector
        await connector.close()

    @pytest.fixture
    def transactions(self, dsn: str, psycopg_transactions: Any) -> Any:
        return type(psycopg_transactions)(dsn)


CASES = []
"""What test_mutants is to run of this file."""

for mutant in BROKEN:
    topic, _, wanted = mutant.caught_by.__qualname__.partition(".")
    (base,) = (found for found in TOPICS if found.__name__ == topic)
    name = f"Test{mutant.name}"
    globals()[name] = type(name, (OnPostgres, base), {"mutant": mutant, "__module__": __name__})
    CASES.append(f"{name}::{wanted}")
