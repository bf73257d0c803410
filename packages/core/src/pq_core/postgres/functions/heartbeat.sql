-- Make a worker known, or prolong its lease (in seconds); return which of its running jobs were asked to stop.
create or replace function heartbeat(
    worker bigint, name text, queues text[], details json, lease double precision, now timestamptz default null,
    progress_ids bigint[] default null, progress_claims bigint[] default null, progress_values text[] default null
)
returns setof bigint
language plpgsql security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    at constant timestamptz := coalesce(heartbeat.now, statement_timestamp());
    lease_until constant timestamptz := at + heartbeat.lease * interval '1 second';
begin
    insert into workers as w (id, name, queues, details, started_at, heartbeat_at, lease_until)
    values (heartbeat.worker, heartbeat.name, heartbeat.queues, heartbeat.details, at, at, lease_until)
    on conflict (id) do update set heartbeat_at = excluded.heartbeat_at, lease_until = excluded.lease_until;
    return query
        select j.id from jobs j
        where j.worker = heartbeat.worker and j.state = 'running' and j.cancel_requested_at is not null
        order by j.id;
end
$$;
