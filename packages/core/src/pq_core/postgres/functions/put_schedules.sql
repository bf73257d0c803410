-- Store schedules, one array for each column, of one length; return the ids of those that are then as given, sorted.
--
-- What code declares (declared) takes the place of any other. What is made at run time leaves alone what code declares, and, if
-- it is not to replace, whatever is there. Where cron text and time zone stay, so does the next tick; otherwise it is looked for
-- anew, from now on. A pause stays. A declaration repeated within half a minute is not written again. Workers that listen are told of
-- what has changed, to tick it in time.
create or replace function put_schedules(
    ids text[], jobs text[], crons text[], timezones text[], catch_ups text[], max_delays double precision[],
    declared boolean default false, replace boolean default true, now timestamptz default null
)
returns text[]
language plpgsql security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    at constant timestamptz := coalesce(put_schedules.now, statement_timestamp());
    given record;
    old schedules;
    put text[] := '{}';
    changed boolean := false;
begin
    for given in
        select * from unnest(
            put_schedules.ids, put_schedules.jobs, put_schedules.crons, put_schedules.timezones, put_schedules.catch_ups, put_schedules.max_delays)
        as g (id, job, cron, timezone, catch_up, max_delay)
        order by g.id collate "C"
    loop
        insert into schedules (id, job, cron, timezone, catch_up, max_delay, next_tick, created_at, declared_at)
        values (given.id, given.job::json, given.cron, given.timezone, given.catch_up, given.max_delay * interval '1 second', at, at,
            case when put_schedules.declared then at end)
        on conflict (id) do nothing;
        if found then
            put := put || given.id;
            changed := true;
            continue;
        end if;
        select * into old from schedules s where s.id = given.id for update;
        continue when not found;  -- somebody has removed it meanwhile
        continue when not put_schedules.declared and (not put_schedules.replace or is_declared(old.declared_at, at));
        put := put || given.id;
        if (old.job::text, old.cron, old.timezone, old.catch_up, old.max_delay)
            is not distinct from (given.job, given.cron, given.timezone, given.catch_up, given.max_delay * interval '1 second')
            and (old.declared_at is not null) = put_schedules.declared
        then
            update schedules s set declared_at = at where s.id = given.id and s.declared_at < at - interval '30 seconds';
            continue;
        end if;
        update schedules s
        set job = given.job::json, cron = given.cron, timezone = given.timezone, catch_up = given.catch_up,
            max_delay = given.max_delay * interval '1 second', revision = default,
            declared_at = case when put_schedules.declared then at end,
            planned = s.planned and (s.cron, s.timezone) = (given.cron, given.timezone),
            next_tick = case when (s.cron, s.timezone) = (given.cron, given.timezone) then s.next_tick else at end
        where s.id = given.id;
        changed := true;
    end loop;
    if changed then
        perform pg_notify(current_schema(), 'schedules:');
    end if;
    return put;
end
$$;
