"""What happens when two sessions meet, step by step: who waits for whom, and what each finds when the other is done.

Waiting is seen in the database itself (`pg_isolation_test_session_is_blocked`), never guessed from time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import attrs
import psycopg
import pytest

DEADLINE = 10.0
Rows = list[tuple[Any, ...]]


@attrs.define
class Session:
    """One connection with a thread of its own, so that it can be left waiting while others go on."""

    conn: psycopg.Connection[Any]
    watch: psycopg.Connection[Any]
    thread: ThreadPoolExecutor = attrs.field(factory=lambda: ThreadPoolExecutor(1))

    def do(self, statement: str, *parameters: object) -> Rows:
        return self.start(statement, *parameters).result(DEADLINE)

    def start(self, statement: str, *parameters: object) -> Future[Rows]:
        return self.thread.submit(self._run, statement, parameters)

    def _run(self, statement: str, parameters: tuple[object, ...]) -> Rows:
        while True:
            try:
                cursor = self.conn.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
            except psycopg.errors.LockNotAvailable:
                # finish() waits for a fifth of a second, and its callers call again; so does this one, on a slow day.
                if self.conn.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
                    raise

    def waits_for(self, other: Session) -> bool:
        """Say whether this session comes to wait for the other before it is done."""
        deadline = time.monotonic() + DEADLINE
        done = self.thread.submit(int)  # runs when what was started before has ended
        while time.monotonic() < deadline and not done.done():
            row = self.watch.execute(
                "select pg_isolation_test_session_is_blocked(%s, array[%s])", (self._pid(), other._pid())
            ).fetchone()
            if row == (True,):
                return True
        return False

    def _pid(self) -> int:
        return self.conn.info.backend_pid

    def begin(self) -> None:
        self.do("begin")

    def commit(self) -> None:
        self.do("commit")

    def close(self) -> None:
        self.conn.cancel()
        self.thread.shutdown()
        self.conn.close()

    def defer(self, lock: str | None = "one", *, priority: int = 0, queue: str = "q", mode: str = "ordered") -> int:
        rows = self.do(
            "select pq.defer('t', lock => %s, priority => %s::smallint, queue => %s, lock_mode => %s)",
            *(lock, priority, queue, mode),
        )
        return int(rows[0][0])

    def fetch(self, queue: str = "q") -> list[int]:
        rows = self.do("select id from pq.fetch(1, %s::text[], 10) where id is not null", [queue])
        return sorted(row[0] for row in rows)

    def start_finish(self, *outcomes: tuple[int, str], claim: int = 1, relock: str | None = None) -> Future[Rows]:
        ids, kinds = zip(*sorted(outcomes), strict=True)
        moved = [relock is not None and kind == "retried" for kind in kinds]
        return self.start(
            "select pq.finish(%s::bigint[], %s::int[], %s::text[], relocks => %s, locks => %s::text[])",
            *(list(ids), [claim] * len(ids), list(kinds), moved, [relock] * len(ids)),
        )

    def finish(self, *outcomes: tuple[int, str], claim: int = 1, relock: str | None = None) -> list[int]:
        return [row[0] for row in self.start_finish(*outcomes, claim=claim, relock=relock).result(DEADLINE)]

    def state(self, *ids: int) -> list[str]:
        return [row[0] for row in self.do("select state from pq.all_jobs where id = any(%s) order by id", list(ids))]


@pytest.fixture
def sessions(dsn: str) -> Iterator[tuple[Session, Session]]:
    with psycopg.connect(dsn, autocommit=True) as watch:
        watch.execute("select pq.prune(null), pq.heartbeat(1, 'w', null, '{}', 3600)")
        two = [Session(psycopg.connect(dsn, autocommit=True), watch) for _ in range(2)]
        yield two[0], two[1]
        for session in two:
            session.close()


Two = tuple[Session, Session]


def test_two_fetches_at_one_lock_do_not_wait_and_only_one_gets_it(sessions: Two) -> None:
    one, two = sessions
    first, second = one.defer(), one.defer()
    one.begin()
    assert one.fetch() == [first]
    assert two.fetch() == []
    one.commit()
    assert two.fetch() == []
    assert one.state(first, second) == ["running", "blocked"]
    assert one.finish((first, "succeeded")) == [first]
    assert two.fetch() == [second]


def test_a_fetch_that_finds_jobs_only_in_anothers_hands_says_that_there_is_more(sessions: Two) -> None:
    one, two = sessions
    jobs = [one.defer(None, queue="left"), one.defer(None, queue="right")]
    one.begin()
    assert one.do("select id from pq.fetch(1, array['left', 'right'], 1)") == [(jobs[0],), (None,)]
    assert two.do("select id, again from pq.fetch(1, array['left', 'right'], 1)") == [(None, True)]
    one.commit()
    assert two.do("select id, again from pq.fetch(1, array['left', 'right'], 2)") == [(jobs[1], None), (None, False)]


def test_rescue_passes_over_a_job_that_is_just_being_finished(sessions: Two) -> None:
    one, two = sessions
    job = one.defer()
    one.fetch()
    one.begin()
    one.finish((job, "succeeded"))
    assert two.do("select * from pq.rescue(now() + interval '2 hours')") == []
    one.commit()
    assert one.state(job) == ["succeeded"]


def test_a_finish_that_waited_for_a_rescue_is_lost(sessions: Two) -> None:
    one, two = sessions
    job = one.defer()
    one.fetch()
    two.begin()
    assert two.do("select * from pq.rescue(now() + interval '2 hours')") == [(job, "ready")]
    finish = one.start_finish((job, "succeeded"))
    assert one.waits_for(two)
    two.commit()
    assert finish.result(DEADLINE) == []
    assert one.do("select state, losses from pq.jobs") == [("ready", 1)]


def test_a_retry_that_waited_for_a_cancel_ends_the_job(sessions: Two) -> None:
    one, two = sessions
    job, behind = one.defer(), one.defer()
    one.fetch()
    two.begin()
    assert two.do("select * from pq.cancel(array[%s::bigint])", job) == [(job, "running")]
    finish = one.start_finish((job, "retried"))
    assert one.waits_for(two)
    two.commit()
    assert finish.result(DEADLINE) == [(job,)]
    assert one.state(job, behind) == ["cancelled", "ready"]


def test_a_cancel_that_waited_for_a_finish_finds_nothing(sessions: Two) -> None:
    one, two = sessions
    job = one.defer()
    one.fetch()
    one.begin()
    one.finish((job, "succeeded"))
    cancel = two.start("select * from pq.cancel(array[%s::bigint])", job)
    assert two.waits_for(one)
    one.commit()
    assert cancel.result(DEADLINE) == []


def test_a_cancel_that_waited_for_a_fetch_asks_the_running_job_to_stop(sessions: Two) -> None:
    one, two = sessions
    job = one.defer()
    one.begin()
    one.fetch()
    cancel = two.start("select * from pq.cancel(array[%s::bigint])", job)
    assert two.waits_for(one)
    one.commit()
    assert cancel.result(DEADLINE) == [(job, "running")]
    assert one.do("select id from pq.heartbeat(1, 'w', null, '{}', 60) where id is not null") == [(job,)]


def test_a_fetch_leaves_a_lock_alone_whose_head_is_being_cancelled(sessions: Two) -> None:
    one, two = sessions
    head, behind = one.defer(), one.defer()
    one.begin()
    assert one.do("select * from pq.cancel(array[%s::bigint])", head) == [(head, "cancelled")]
    assert two.do("select id, again from pq.fetch(1, array['q'], 10)") == [(None, True)]
    one.commit()
    assert two.fetch() == [behind]


def test_a_job_committed_late_waits_for_a_later_one_that_runs(sessions: Two) -> None:
    one, two = sessions
    one.begin()
    late = one.defer()
    early = two.defer()
    assert two.fetch() == [early]
    one.commit()
    assert two.fetch() == []
    assert two.state(late, early) == ["blocked", "running"]
    two.finish((early, "succeeded"))
    assert two.fetch() == [late]


def test_a_job_of_higher_priority_that_arrives_meanwhile_is_next(sessions: Two) -> None:
    one, two = sessions
    first, last = one.defer(), one.defer()
    one.begin()
    assert one.fetch() == [first]
    urgent = two.defer(priority=5)
    assert two.fetch() == []
    one.commit()
    assert two.fetch() == []
    one.finish((first, "succeeded"))
    assert two.state(last, urgent) == ["blocked", "ready"]
    assert two.fetch() == [urgent]


def test_a_finish_waits_for_an_edit_and_wakes_by_what_it_finds_then(sessions: Two) -> None:
    one, two = sessions
    running, second, third = one.defer(), one.defer(), one.defer()
    assert one.fetch() == [running]
    two.begin()
    two.do("update pq.jobs set priority = 9 where id = %s", third)
    finish = one.start_finish((running, "succeeded"))
    assert one.waits_for(two)
    two.commit()
    assert finish.result(DEADLINE) == [(running,)]
    assert one.fetch() == [third]
    assert one.state(second) == ["blocked"]


def test_an_edit_waits_for_a_finish_and_wakes_by_what_it_finds_then(sessions: Two) -> None:
    one, two = sessions
    running, second, third = one.defer(), one.defer(), one.defer()
    assert one.fetch() == [running]
    one.begin()
    one.finish((running, "succeeded"))
    edit = two.start("update pq.jobs set priority = 9 where id = %s", third)
    assert two.waits_for(one)
    one.commit()
    edit.result(DEADLINE)
    assert one.fetch() == [third]
    assert one.state(second) == ["blocked"]


def test_a_deleted_head_wakes_who_was_behind_it(sessions: Two) -> None:
    one, two = sessions
    head, behind = one.defer(queue="elsewhere"), one.defer()
    assert one.fetch() == []
    assert one.state(head, behind) == ["ready", "blocked"]
    two.begin()
    two.do("delete from pq.jobs where id = %s", head)
    assert one.fetch() == []
    two.commit()
    assert one.fetch() == [behind]


def test_a_retry_that_moves_to_another_lock_frees_the_one_and_queues_at_the_other(sessions: Two) -> None:
    one, two = sessions
    mover, behind, there = one.defer("one"), one.defer("one"), one.defer("two")
    assert one.fetch() == [mover, there]
    one.finish((there, "snoozed"))
    one.begin()
    assert one.finish((mover, "retried"), relock="two") == [mover]
    assert two.fetch() == []
    one.commit()
    assert two.fetch() == [mover, behind]
    assert two.state(there) == ["blocked"]


def test_finishes_that_swap_their_locks_wait_in_one_order(sessions: Two) -> None:
    one, two = sessions
    left, right, quick = one.defer("left"), one.defer("right"), one.defer(None)
    one.fetch()
    one.begin()
    assert one.finish((left, "retried"), (quick, "succeeded"), relock="right") == [left, quick]
    other = two.start_finish((right, "retried"), relock="left")
    assert two.waits_for(one)
    one.commit()
    assert other.result(DEADLINE) == [(right,)]
    assert two.fetch() == [left, right]


def test_a_finish_does_not_wait_for_jobs_that_it_does_not_hold(sessions: Two) -> None:
    one, two = sessions
    job, own = one.defer("left"), one.defer("right")
    one.fetch()
    one.begin()
    assert one.finish((job, "retried")) == [job]
    assert two.finish((job, "retried"), claim=7) == []
    assert two.finish((own, "retried")) == [own]
    one.commit()


def test_what_a_wake_had_to_pass_over_is_woken_by_rescue(sessions: Two) -> None:
    one, two = sessions
    running, next_ = one.defer(), one.defer()
    one.fetch()
    two.begin()
    two.do("select from pq.jobs where id = %s for update", next_)
    assert one.finish((running, "succeeded")) == [running]
    two.do("rollback")
    assert one.state(next_) == ["blocked"]
    one.do("select * from pq.rescue()")
    assert one.fetch() == [next_]


def test_an_edit_that_changes_nothing_of_the_lock_wakes_what_was_passed_over_meanwhile(sessions: Two) -> None:
    one, two = sessions
    running, next_ = one.defer(), one.defer()
    one.fetch()
    one.defer()
    assert one.fetch() == []
    two.begin()
    two.do("select from pq.jobs where id = %s for update", next_)
    one.finish((running, "succeeded"))
    two.do("update pq.jobs set metadata = '{\"seen\": true}' where id = %s", next_)
    two.commit()
    assert one.fetch() == [next_]


def test_a_forgotten_mutex_job_is_woken_by_rescue_though_the_head_is_only_scheduled(sessions: Two) -> None:
    one, two = sessions
    head, running, next_ = one.defer(), one.defer(mode="mutex"), one.defer(mode="mutex")
    one.do("select * from pq.reschedule(array[%s::bigint], delay => 3600)", head)
    assert one.fetch() == [running]
    two.begin()
    two.do("select from pq.jobs where id = %s for update", next_)
    one.finish((running, "succeeded"))
    two.do("rollback")
    assert one.fetch() == []
    one.do("select * from pq.rescue()")
    assert one.fetch() == [next_]


def test_two_sessions_may_open_the_first_day_of_history_together(sessions: Two) -> None:
    one, two = sessions
    ids = [one.defer(None), one.defer(None)]
    one.fetch()
    far = "now() + interval '40 days'"
    one.begin()
    one.do(f"select pq.finish(array[{ids[0]}::bigint], array[1], array['succeeded'], now => {far})")
    other = two.start(f"select pq.finish(array[{ids[1]}::bigint], array[1], array['succeeded'], now => {far})")
    assert two.waits_for(one)
    one.commit()
    assert other.result(DEADLINE) == [(ids[1],)]


def test_resuming_a_task_waits_for_a_fetch_that_has_left_its_jobs_blocked_and_frees_them(sessions: Two) -> None:
    one, two = sessions
    jobs = [one.defer(None), one.defer("l")]
    one.do("select pq.pause(task => 't')")
    one.begin()
    assert one.fetch() == []
    resumed = two.start("select pq.resume(task => 't')")
    assert two.waits_for(one)
    one.commit()
    resumed.result(DEADLINE)
    assert two.fetch() == jobs


def test_fetches_soon_get_past_many_paused_jobs_of_one_mutex_lock(sessions: Two) -> None:
    one, _ = sessions
    one.do("select pq.defer('t', queue => 'q', lock => 'l', lock_mode => 'mutex') from generate_series(1, 3000)")
    one.do("select pq.pause(task => 't')")
    other = one.do("select pq.defer('other', queue => 'q')")[0][0]
    assert [other] in [one.fetch() for _ in range(4)]


def test_a_fetch_that_meets_a_task_which_is_just_being_resumed_leaves_its_jobs_ready(sessions: Two) -> None:
    one, two = sessions
    job = one.defer(None)
    one.do("select pq.pause(task => 't')")
    two.begin()
    two.do("select pq.resume(task => 't')")
    assert one.do("select id, again from pq.fetch(1, array['q'], 10)") == [(None, True)]
    assert one.state(job) == ["ready"]
    two.commit()
    assert one.fetch() == [job]


def test_a_fetch_does_not_wait_to_end_an_expired_job_whose_lock_a_stranger_has_in_hand(sessions: Two) -> None:
    one, two = sessions
    running, expired, other = one.defer("l", queue="x"), one.defer("l"), one.defer(None)
    assert one.fetch("x") == [running]
    one.do("select pq.reschedule(array[%s::bigint], reexpire => true, expires_at => now())", expired)
    two.begin()
    two.do("select pq.cancel(array[%s::bigint])", two.defer("l", priority=9))
    assert one.fetch() == [other]
    assert one.state(expired) == ["ready"]
    two.commit()
    assert one.fetch() == []
    assert one.state(expired) == ["cancelled"]


@pytest.mark.parametrize("why", ["expired", "paused"])
def test_jobs_that_may_not_run_and_whose_lock_a_stranger_has_in_hand_keep_no_other_from_running(
    sessions: Two, why: str
) -> None:
    one, two = sessions
    unfit = [one.defer("l") for _ in range(30)]
    if why == "expired":
        one.do("select pq.reschedule(%s, reexpire => true, expires_at => now())", unfit)
    else:
        one.do("select pq.pause(task => 't')")
    other = one.do("select pq.defer('other', queue => 'q')")[0][0]
    two.begin()
    two.do("select pq.cancel(array[%s::bigint])", two.defer("l", priority=9, queue="x"))
    assert one.fetch() == [other]
    two.commit()
    assert one.fetch() == []
    assert set(one.state(*unfit)) == {"cancelled" if why == "expired" else "blocked"}


def test_a_batch_takes_the_jobs_that_it_replaces_by_id_and_the_locks_that_they_free_last(sessions: Two) -> None:
    one, two = sessions
    z, a = (
        one.do("select pq.defer('t', unique_key => %s, lock => %s, priority => 5::smallint)", key, key)[0][0]
        for key in "za"
    )
    two.begin()
    two.do("select from pq.jobs where id = %s for update", z)
    batch = one.start(
        "select statuses from pq.defer_many(array['t'], array['{}', '{}'], array['q'], array[0::smallint],"
        " array[null], array['ordered'], array[null::timestamptz], array[0], array[3::smallint], array['{}'],"
        " unique_keys => array['a', 'z'], on_conflicts => array['replace'])"
    )
    assert one.waits_for(two)
    two.do("select from pq.jobs where id = %s for update nowait", a)
    two.do("select pq.cancel(array[%s::bigint])", two.defer("a"))
    two.commit()
    assert batch.result(DEADLINE) == [(["replaced", "replaced"],)]


def test_a_purge_that_waited_for_a_claim_leaves_the_job_alone(sessions: Two) -> None:
    one, two = sessions
    job = one.defer(None)
    one.begin()
    assert one.fetch() == [job]
    purged = two.start("select pq.purge(array[%s::bigint])", job)
    assert two.waits_for(one)
    one.commit()
    assert purged.result(DEADLINE) == []
    assert one.finish((job, "succeeded")) == [job]
