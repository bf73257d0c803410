-- Move schedules on to their next ticks, each with the jobs of the ticks that are due in one step; then say which are due.
--
-- One array for each field of the moves, of one length; and the ticks of all moves, with the place of theirs, from 1. A move is
-- made if the schedule still has the revision, is not paused, and nobody else holds it just now: so that each tick counts once,
-- however many workers come with it. The last row has no id; it says what was moved, what the time is, and in how many seconds
-- the next schedule that is not due is.
create or replace function tick(
    ids text[], revisions bigint[], next_ticks timestamptz[], places integer[], ticks timestamptz[], now timestamptz default null
)
returns table (
    id text, job json, cron text, timezone text, catch_up text, max_delay interval, revision bigint, next_tick timestamptz,
    planned boolean, created_at timestamptz, last_tick timestamptz, paused_at timestamptz, declared_at timestamptz,
    moved text[], asked_at timestamptz, next_in double precision
)
language plpgsql security definer
set search_path from current set lock_timeout = '200ms'
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    at constant timestamptz := coalesce(tick.now, statement_timestamp());
    number bigint;
    due timestamptz;
    s schedules;
    done text[] := '{}';
begin
    for number in select g.place from unnest(tick.ids) with ordinality g (id, place) order by g.id collate "C", g.place loop
        select * into s from schedules c
        where c.id = tick.ids[number] and c.revision = tick.revisions[number] and c.paused_at is null for update skip locked;
        continue when not found;
        begin
            for due in select t.tick from unnest(tick.places, tick.ticks) t (place, tick) where t.place = number loop
                perform store_tick(s, due, at);
            end loop;
            update schedules c
            set next_tick = tick.next_ticks[number], planned = true, revision = default, last_tick = coalesce(due, c.last_tick)
            where c.id = s.id;
            done := done || s.id;
        exception when lock_not_available then
            null;  -- the unique key of its job is in the hands of an open transaction: another time
        end;
    end loop;
    return query
        select c.id, c.job, c.cron, c.timezone, c.catch_up, c.max_delay, c.revision, c.next_tick, c.planned, c.created_at, c.last_tick,
            c.paused_at, c.declared_at, null::text[], null::timestamptz, null::double precision
        from schedules c
        where c.paused_at is null and c.next_tick <= at and (c.declared_at is null or is_declared(c.declared_at, at))
        order by c.next_tick, c.id collate "C" limit 100;
    return query
        select null::text, null::json, null::text, null::text, null::text, null::interval, null::bigint, null::timestamptz, null::boolean,
            null::timestamptz, null::timestamptz, null::timestamptz, null::timestamptz, done, at,
            (select extract(epoch from c.next_tick - at)::double precision from schedules c
                where c.paused_at is null and c.next_tick > at order by c.next_tick limit 1);
end
$$;
