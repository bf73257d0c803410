-- End waiting jobs as cancelled and ask running ones to stop; return both, with their state after it.
create or replace function cancel(ids bigint[], reason text default 'cancelled by request', now timestamptz default null)
returns table (id bigint, state text)
language plpgsql security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    at constant timestamptz := coalesce(cancel.now, statement_timestamp());
    waiting bigint[];
    running bigint[];
begin
    perform check_isolation();
    perform ensure_day(at);
    perform from jobs j where j.id = any (cancel.ids) order by j.id for update;
    select
        coalesce(array_agg(j.id) filter (where j.state <> 'running'), '{}'),
        coalesce(array_agg(j.id) filter (where j.state = 'running'), '{}')
    into waiting, running from jobs j where j.id = any (cancel.ids);
    update jobs j set cancel_requested_at = at, reason = cancel.reason
    where j.id = any (running) and j.cancel_requested_at is null;
    perform pg_notify(current_schema(), 'stop:' || w.worker)
    from (select distinct j.worker from jobs j where j.id = any (running)) w;
    perform wake(bury(waiting, 'cancelled', cancel.reason, at));
    return query
        select c.id, c.state from (
            select w, 'cancelled' from unnest(waiting) w union all select r, 'running' from unnest(running) r) c (id, state)
        order by c.id;
end
$$;
