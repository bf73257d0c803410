-- How the queue and its tables are, as JSON. Needs no rights but those of pq's owner; what that role may not see is null.
create or replace function health(now timestamptz default null)
returns json
language plpgsql security definer
set search_path from current set jit = off
as $$
declare
    at constant timestamptz := coalesce(health.now, statement_timestamp());
    jobs_table constant regclass := 'jobs'::regclass;
begin
    return json_build_object(
        'at', at,
        'live_rows', pg_stat_get_live_tuples(jobs_table),
        'dead_rows', pg_stat_get_dead_tuples(jobs_table),
        'size', pg_total_relation_size(jobs_table),
        'history_size', (select coalesce(sum(pg_total_relation_size(h.name)), 0)::bigint from history() h),
        'vacuumed_at', greatest(pg_stat_get_last_vacuum_time(jobs_table), pg_stat_get_last_autovacuum_time(jobs_table)),
        -- The days that follow today without a gap and have their partition.
        'days_ahead', (
            select count(*) from (
                select (h.until at time zone 'UTC')::date - (at at time zone 'UTC')::date - 1 as day,
                    row_number() over (order by h.until) as place
                from history() h where h.until > date_trunc('day', at at time zone 'UTC') at time zone 'UTC' + interval '1 day'
            ) ahead where ahead.day = ahead.place),
        'workers', (select count(*) from workers w where w.lease_until > at),
        'lost_workers', (select count(*) from workers w where w.lease_until <= at),
        'queues', (select coalesce(json_agg(q), '[]') from queue_waits(at) q),
        'pins', (select coalesce(json_agg(p), '[]') from (select * from vacuum_pins() limit 10) p));
end
$$;
