-- Make a worker known, or prolong its lease (in seconds); return which of its running jobs were asked to stop.
--
-- The last row has no id; it says in how many seconds the first lease of another worker runs out, not above 0 if one has, and how
-- many others there are.
--
-- progress_ids, progress_claims, progress_values: arrays of one length, by ascending id; what current runs say of their progress. A
-- job whose row is in other hands is passed over: a lease waits for nobody, and what the run says last comes with its outcome.
create or replace function heartbeat(
    worker bigint, name text, queues text[], details json, lease double precision, now timestamptz default null,
    progress_ids bigint[] default null, progress_claims bigint[] default null, progress_values text[] default null
)
returns table (id bigint, lapses_in double precision, others bigint)
language plpgsql security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    at constant timestamptz := coalesce(heartbeat.now, statement_timestamp());
    lease_until constant timestamptz := at + heartbeat.lease * interval '1 second';
    told bigint[];
begin
    insert into workers as w (id, name, queues, details, started_at, heartbeat_at, lease_until)
    values (heartbeat.worker, heartbeat.name, heartbeat.queues, heartbeat.details, at, at, lease_until)
    on conflict (id) do update set heartbeat_at = excluded.heartbeat_at, lease_until = excluded.lease_until;
    if heartbeat.progress_ids <> '{}' then
        told := array(
            select j.id from jobs j
            where j.id = any (heartbeat.progress_ids) and (j.state = 'running') is true
                and j.claim = heartbeat.progress_claims[width_bucket(j.id, heartbeat.progress_ids)]
            for update skip locked);
        update jobs j set progress = stamped(heartbeat.progress_values[width_bucket(j.id, heartbeat.progress_ids)], at)
        where j.id = any (told);
    end if;
    return query
        select j.id, null::double precision, null::bigint from jobs j
        where coalesce(j.worker, 0) = heartbeat.worker and j.state = 'running' and j.cancel_requested_at is not null
        order by j.id;
    return query
        select null::bigint, extract(epoch from min(w.lease_until) - at)::double precision, count(*)
        from workers w where w.id <> heartbeat.worker;
end
$$;
