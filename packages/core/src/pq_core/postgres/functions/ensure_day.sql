-- See to it that finished_jobs has a partition for that moment's day (UTC).
--
-- It is created standing alone and then attached, so inserts into other days go on; there is no default partition, which would
-- have to be scanned at each attachment.
-- Whoever needs rows of jobs as well calls this before it takes them.
create or replace function ensure_day(at timestamptz)
returns void
language plpgsql
as $$
declare
    day constant date := (at at time zone 'UTC')::date;
    leaf constant text := 'finished_jobs_' || to_char(day, 'YYYYMMDD');
begin
    if to_regclass(leaf) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashint8extended('finished_jobs'::regclass::oid::bigint, 0));
    -- Waiting for an advisory lock does not refresh what to_regclass() remembers; a query sees what was committed meanwhile.
    if not exists (
        select from pg_class c join pg_class parent using (relnamespace)
        where c.relname = leaf and parent.oid = 'finished_jobs'::regclass
    ) then
        execute format('create table %I (like finished_jobs including defaults including constraints)', leaf);
        execute format(
            'alter table finished_jobs attach partition %I for values from (%L) to (%L)',
            leaf, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
    end if;
end
$$;
