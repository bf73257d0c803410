-- Change waiting jobs; return them with their state after it. What is null stays; the lock changes if relock
-- says so, the expiry if reexpire does.
create or replace function reschedule(
    ids bigint[], scheduled_at timestamptz default null, delay double precision default null, queue text default null,
    priority smallint default null, relock boolean default false, lock text default null, now timestamptz default null,
    reexpire boolean default false, expires_at timestamptz default null
)
returns table (id bigint, state text)
language plpgsql security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    number constant bigint := xact_number();  -- before ids and the time, see floors.py
    at constant timestamptz := coalesce(reschedule.now, clock_timestamp());
    due constant timestamptz := coalesce(reschedule.scheduled_at, at + reschedule.delay * interval '1 second');
    waiting bigint[];
    locks bigint[];
    awake text[];
    told bigint[];
begin
    perform check_isolation();
    if not (is_readable(due) and is_readable(reschedule.expires_at)) then
        perform check_times(due, reschedule.expires_at);
    end if;
    waiting := array(
        select j.id from jobs j where j.id = any (reschedule.ids) and (j.state = 'running') is false order by j.id for update);
    locks := array(select j.lock_key from jobs j where j.id = any (waiting) and (j.lock_key is not null) is true);
    with changed as (
        update jobs j set
            scheduled_at = coalesce(due, j.scheduled_at),
            risen = risen_number(),
            queue = coalesce(reschedule.queue, j.queue),
            priority = coalesce(reschedule.priority, j.priority),
            lock = case when reschedule.relock then reschedule.lock else j.lock end,
            expires_at = case when reschedule.reexpire then reschedule.expires_at else j.expires_at end,
            state = case when due > at then 'scheduled' when due is null and j.state = 'scheduled' then 'scheduled' else 'ready' end
        where j.id = any (waiting)
        returning j.id, j.queue, j.lock_key, j.state
    )
    select array_agg(c.queue), array_agg(c.id),
        locks || array_agg(c.lock_key) filter (where c.lock_key is not null)
    into awake, told, locks from changed c;
    perform announce(awake, told);
    perform wake(locks);
    return query select j.id, j.state from jobs j where j.id = any (waiting) order by j.id;
end
$$;
