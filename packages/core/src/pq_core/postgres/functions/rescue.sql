-- Forget workers whose lease has run out, give back their running jobs and those of unknown workers, and wake locks that were
-- left without anybody to wake them (by an edit with the trigger switched off, say). Return the jobs given back.
create or replace function rescue(now timestamptz default null)
returns table (id bigint, state text)
language plpgsql security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    at constant timestamptz := coalesce(rescue.now, statement_timestamp());
    dead bigint[];
    lost bigint[];
    orphans bigint[];
begin
    perform check_isolation();
    perform ensure_day(at);
    dead := array(select w.id from workers w where w.lease_until <= at order by w.id for update skip locked);
    delete from workers w where w.id = any (dead);
    lost := array(
        select j.id from jobs j where j.worker = any (missing_workers()) and j.state = 'running' order by j.id for update skip locked);
    -- A job whose worker was wiped out by hand has none at all.
    lost := lost || array(select j.id from jobs j where j.worker is null and j.state = 'running' order by j.id for update skip locked);
    -- Chores, for which one rescuer at a time is enough.
    if alone_at(2) then
        perform tidy(at);
        orphans := orphaned_locks() || (select e.freed from expire(at, true) e);
    end if;
    if lost = '{}' then
        perform wake(orphans);
    else
        return query select * from give_back(lost, true, at, orphans);
    end if;
end
$$;
