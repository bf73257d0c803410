-- The partitions of finished_jobs, each with the moment at which its day ends (null: its name is not one that pq gives) and the
-- states of which it is known to hold no job.
create or replace function history()
returns table (name regclass, until timestamptz, lacks text[])
language sql stable
as $$
    select c.oid::regclass,
        case when c.relname ~ '^finished_jobs_\d{8}$'
            then (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp at time zone 'UTC' end,
        coalesce(string_to_array(substring(obj_description(c.oid, 'pg_class') from '^pq: holds no (.*)$'), ', '), '{}')
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'finished_jobs'::regclass
$$;
