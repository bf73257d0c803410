-- Forget schedules; the jobs that they have stored stay. Returns the ids of those that there were, sorted.
create or replace function remove_schedules(ids text[])
returns text[]
language sql security definer
set search_path from current
as $$
    with found as (
        select s.id from schedules s where s.id = any ($1) order by s.id collate "C" for update
    ), gone as (
        delete from schedules s using found f where s.id = f.id returning s.id
    )
    select coalesce(array_agg(g.id order by g.id collate "C"), '{}') from gone g
$$;
