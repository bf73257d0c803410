-- End live jobs outside of finish: move them to finished_jobs; return the locks that they had. The caller holds the rows.
-- A job that was running keeps its worker and the time of its start.
create or replace function bury(ids bigint[], state text, reason text, at timestamptz)
returns bigint[]
language plpgsql
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    freed bigint[];
begin
    if bury.ids is null or bury.ids = '{}' then
        return null;
    end if;
    perform ensure_day(bury.at);
    with gone as (
        delete from jobs j where j.id = any (bury.ids) returning j.*
    ), kept as (
        insert into finished_jobs (
            id, queue, task, args, priority, lock, lock_mode, state, attempt, claim, losses, max_losses, scheduled_at, created_at,
            started_at, worker, cancel_requested_at, reason, errors, result, progress, metadata, finished_at,
            delivery, version, unique_key, unique_scope, expires_at)
        select g.id, g.queue, g.task, g.args, g.priority, g.lock, g.lock_mode, coalesce(bury.state, g.state), g.attempt, g.claim,
            g.losses, g.max_losses, g.scheduled_at, g.created_at, g.started_at, g.worker, g.cancel_requested_at,
            coalesce(g.reason, bury.reason), g.errors, g.result, g.progress, g.metadata, bury.at,
            g.delivery, g.version, g.unique_key, g.unique_scope, g.expires_at
        from gone g
    )
    select array_agg(g.lock_key) filter (where g.lock_key is not null) into freed from gone g;
    perform tell_waiters(bury.ids);
    return freed;
end
$$;
