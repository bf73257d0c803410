-- All workers that are known, also those whose lease has run out and whom nobody has missed yet; the one first that has been
-- there for longest.
create or replace function known_workers(now timestamptz default null)
returns table (
    id bigint, name text, queues text[], details text, started_at timestamptz, heartbeat_at timestamptz, lease_until timestamptz,
    alive boolean, running bigint
)
language sql stable security definer
set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
    select w.id, w.name, w.queues, w.details::text, w.started_at, w.heartbeat_at, w.lease_until,
        w.lease_until > coalesce($1, statement_timestamp()),
        (select count(*) from jobs j where j.worker = w.id and j.state = 'running')
    from workers w order by w.started_at, w.id
$$;
