-- Forget ended jobs that finished more than so long ago (null: none), and make the partitions of the days to come. Returns how
-- many were forgotten.
--
-- A day that is over for good is truncated, which locks that day only, and dropped if nobody reads the history just now;
-- otherwise the empty partition is dropped by a later call.
create or replace function prune(older_than interval, now timestamptz default null)
returns bigint
language plpgsql security definer
set search_path from current set lock_timeout = '200ms'
as $$
declare
    at constant timestamptz := coalesce(prune.now, statement_timestamp());
    cut constant timestamptz := at - older_than;
    leaf record;
    emptied text[] := '{}';
    gone bigint := 0;
    here bigint;
begin
    for ahead in 0..3 loop
        perform ensure_day(at + ahead * interval '1 day');
    end loop;
    if cut is null then
        return 0;
    end if;
    for leaf in
        select c.oid::regclass as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'finished_jobs'::regclass
            and case when c.relname ~ '^finished_jobs_\d{8}$'
                then (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp at time zone 'UTC' <= cut end
        order by c.relname
    loop
        begin
            execute format('lock table %s in access exclusive mode', leaf.name);
            execute format('select count(*) from %s', leaf.name) into here;
            execute format('truncate %s', leaf.name);
            gone := gone + here;
            emptied := emptied || leaf.name::text;
        exception when lock_not_available then
            continue;
        end;
    end loop;
    delete from finished_jobs f where f.finished_at < cut;
    get diagnostics here = row_count;
    gone := gone + here;
    -- Last, since from the first drop on nobody else can use the history until this is over.
    begin
        for leaf in select unnest(emptied) as name loop
            execute format('drop table %s', leaf.name);
        end loop;
    exception when lock_not_available then
        null;
    end;
    return gone;
end
$$;
