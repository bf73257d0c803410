-- Forget ended jobs that finished more than so long ago (null: none), those of these states (null: of any), and make the
-- partitions of the days to come. Returns how many were forgotten.
--
-- max_jobs: rows to delete at most, and then only one transaction at a time is at it: any other returns 0. Days that are emptied
-- as a whole do not count towards it.
create or replace function prune(
    older_than interval, now timestamptz default null, states text[] default null, max_jobs integer default null
)
returns bigint
language plpgsql security definer
set search_path from current set lock_timeout = '200ms'
as $$
declare
    at constant timestamptz := coalesce(prune.now, statement_timestamp());
    cut constant timestamptz := at - prune.older_than;
    gone bigint;
begin
    if prune.max_jobs is not null and not alone_at(1) then
        return 0;
    end if;
    for ahead in 0..3 loop
        perform ensure_day(at + ahead * interval '1 day');
    end loop;
    if cut is null then
        return 0;
    end if;
    if prune.states is null or prune.states @> array['succeeded', 'failed', 'cancelled'] then
        gone := forget_jobs(cut, null, prune.max_jobs, prune.now is null);
        -- Last, since from the first drop on nobody else can use the history until this is over.
        return gone + forget_days(cut);
    end if;
    return forget_jobs(cut, prune.states, prune.max_jobs, prune.now is null);
end
$$;
