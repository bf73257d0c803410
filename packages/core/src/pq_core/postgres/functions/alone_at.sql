-- Whether this transaction is the only one at an errand for which one at a time is enough; whoever comes meanwhile goes on with
-- something else. 1: forgetting in steps; 2: tidying up. (0 is taken by ensure_day.)
create or replace function alone_at(errand integer)
returns boolean
language sql
as $$
    select pg_try_advisory_xact_lock(hashint8extended('finished_jobs'::regclass::oid::bigint, $1))
$$;
