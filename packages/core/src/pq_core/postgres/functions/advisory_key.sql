-- The advisory lock that stands for a lock of this schema: two queues in one database do not wait for each other.
create or replace function advisory_key(lock_key bigint)
returns bigint
language sql stable
as $$
    select hashint8extended($1, 'jobs'::regclass::oid::bigint)
$$;
