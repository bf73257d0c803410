-- Forget a worker and release its running jobs, but for those that run at most once: they fail. Return the jobs.
create or replace function leave(worker bigint, now timestamptz default null)
returns table (id bigint, state text)
language plpgsql security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    at constant timestamptz := coalesce(leave.now, statement_timestamp());
    held bigint[];
begin
    perform check_isolation();
    perform ensure_day(at);
    delete from workers w where w.id = leave.worker;
    held := array(select j.id from jobs j where j.worker = leave.worker and j.state = 'running' order by j.id for update);
    return query select * from give_back(held, false, at);
end
$$;
