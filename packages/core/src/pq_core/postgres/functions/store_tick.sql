-- Store the job of one tick of a schedule: due at the tick, and it says of which schedule and tick it is. A job whose unique
-- key is taken is skipped: the tick is spent.
create or replace function store_tick(s schedules, due timestamptz, at timestamptz)
returns void
language plpgsql
as $$
declare
    named constant text := '"pq.schedule":' || to_json(s.id)::text
        || ',"pq.tick":"' || to_char(due at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') || '+00:00"}';
    metadata constant text := rtrim(s.job->>'metadata', E' \t\r\n');
begin
    perform defer(
        task => s.job->>'task', args => s.job->'args', queue => s.job->>'queue', priority => (s.job->>'priority')::smallint,
        lock => s.job->>'lock', lock_mode => s.job->>'lock_mode', scheduled_at => due, max_losses => (s.job->>'max_losses')::smallint,
        metadata => (case when metadata = '{}' then '{' else left(metadata, -1) || ',' end || named)::json, now => at,
        delivery => s.job->>'delivery', version => (s.job->>'version')::integer, unique_key => s.job->>'unique_key',
        unique_scope => s.job->>'unique_scope', unique_period => (s.job->>'unique_period')::float8 * interval '1 second',
        on_conflict => 'skip', expires_at => due + s.max_delay,
        expires_in => case when s.max_delay is null then (s.job->>'expires_in')::float8 * interval '1 second' end);
end
$$;
