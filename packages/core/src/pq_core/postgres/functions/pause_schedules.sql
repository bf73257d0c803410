-- Let schedules not tick until they are resumed, or (paused false) resume them: the ticks meanwhile are no missed ones, the next
-- is the first later than now. Listening workers are told. Returns the ids of those that there are, sorted.
create or replace function pause_schedules(ids text[], paused boolean default true, now timestamptz default null)
returns text[]
language sql security definer
set search_path from current
as $$
    with found as (
        select s.id from schedules s where s.id = any ($1) order by s.id collate "C" for update
    ), changed as (
        update schedules s
        set paused_at = case when $2 then coalesce($3, statement_timestamp()) end, revision = default,
            next_tick = case when $2 then s.next_tick else coalesce($3, statement_timestamp()) end,
            planned = $2 and s.planned
        from found f where s.id = f.id and (s.paused_at is null) = $2
        returning s.id
    ), told as materialized (
        select pg_notify(current_schema(), 'schedules:') from changed limit 1
    )
    select coalesce(array_agg(f.id order by f.id collate "C"), '{}') from found f where (select count(*) from told) >= 0
$$;
