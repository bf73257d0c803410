-- Whether a transaction that makes jobs of a queue ready is to notify. All do, but for those that are `alone`: the call is all there
-- is of the transaction, so that it commits at once. Of these, one at a time for each queue, the herald, notifies for all that commit
-- beside it: PostgreSQL lets transactions that notify commit one after the other only, each with a disk flush of its own.
--
-- Call it last. The first lock says that somebody may rely on a herald, the second that one is there; both are held until the end
-- of the transaction. The third, let go in the expression that takes it, is to be had if no herald is there, but a worker that
-- asks whether one is. See all_told(), and docs/explanation/wake-ups.md for why no wake-up is lost.
create or replace function is_herald(alone boolean, queue text)
returns boolean
language sql
as $$
    select case
        when $1 and pg_try_advisory_xact_lock_shared(hashtextextended($2, -('finished_jobs'::regclass::oid::bigint)))
            then pg_try_advisory_xact_lock(hashtextextended($2, 'finished_jobs'::regclass::oid::bigint))
                or (pg_try_advisory_lock_shared(hashtextextended($2, 'finished_jobs'::regclass::oid::bigint))
                    and pg_advisory_unlock_shared(hashtextextended($2, 'finished_jobs'::regclass::oid::bigint)))
        else true
    end
$$;
