-- Whether a look at the jobs that begins after this sees all for which no notification is to come, see is_herald(): no herald is
-- about to notify, and after that, nobody about to commit relies on one.
--
-- Each lock is let go in the expression that takes it, in which nothing can interrupt. Who mistakes this for a herald, and relies
-- on it, holds the other lock by then, which is looked at after this one.
create or replace function all_told()
returns boolean
language sql
as $$
    select case
        when pg_try_advisory_lock_shared(hashint8extended('finished_jobs'::regclass::oid::bigint, 4))
                and pg_advisory_unlock_shared(hashint8extended('finished_jobs'::regclass::oid::bigint, 4))
            then pg_try_advisory_lock(hashint8extended('finished_jobs'::regclass::oid::bigint, 3))
                and pg_advisory_unlock(hashint8extended('finished_jobs'::regclass::oid::bigint, 3))
        else false
    end
$$;
