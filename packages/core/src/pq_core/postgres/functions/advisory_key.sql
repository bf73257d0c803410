-- The advisory lock that stands for a lock of this schema: two queues in one database do not wait for each other.
--
-- One of 4,096, so that no statement, whatever it touches, fills the shared memory in which PostgreSQL keeps them. Two locks that
-- share one are judged one after the other, nothing more.
create or replace function advisory_key(lock_key bigint)
returns bigint
language sql stable
as $$
    select hashint8extended($1 & 4095, 'jobs'::regclass::oid::bigint)
$$;
