-- Whether a transaction that makes jobs ready is to notify. All do, but for those that are `alone`: the call is all there is of
-- the transaction, so that it commits at once. Of these, one at a time, the herald, notifies for all that commit beside it:
-- PostgreSQL lets transactions that notify commit one after the other only, each with a disk flush of its own.
--
-- Call it last. The first lock says that somebody may rely on a herald, the second that one is there; both are held until the end
-- of the transaction. See all_told(), and docs/explanation/wake-ups.md for why no wake-up is lost.
create or replace function is_herald(alone boolean)
returns boolean
language sql
as $$
    select case
        when $1 and pg_try_advisory_xact_lock_shared(hashint8extended('finished_jobs'::regclass::oid::bigint, 3))
            then pg_try_advisory_xact_lock(hashint8extended('finished_jobs'::regclass::oid::bigint, 4))
        else true
    end
$$;
