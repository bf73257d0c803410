-- Whether a look at the jobs that begins after this sees all jobs of these queues for which no notification is to come, see
-- is_herald(): of each queue, no herald is about to notify, and after that, nobody about to commit relies on one.
--
-- Each lock is let go in the expression that takes it, in which nothing can interrupt.
create or replace function all_told(queues text[])
returns boolean
language sql
as $$
    select coalesce(bool_and(case
        when pg_try_advisory_lock_shared(hashtextextended(q, 'finished_jobs'::regclass::oid::bigint))
                and pg_advisory_unlock_shared(hashtextextended(q, 'finished_jobs'::regclass::oid::bigint))
            then pg_try_advisory_lock(hashtextextended(q, -('finished_jobs'::regclass::oid::bigint)))
                and pg_advisory_unlock(hashtextextended(q, -('finished_jobs'::regclass::oid::bigint)))
        else false
    end), true)
    from unnest($1) q
$$;
