-- Empty the days that ended before the cut, and drop them; return how many jobs were in them. Part of prune, with whose settings
-- it runs.
--
-- A day that is over for good is truncated, which locks that day only, and dropped if nobody reads the history just now;
-- otherwise the empty partition is dropped by a later call.
create or replace function forget_days(cut timestamptz)
returns bigint
language plpgsql
as $$
declare
    leaf record;
    emptied text[] := '{}';
    gone bigint := 0;
    here bigint;
begin
    for leaf in select h.name from history() h where h.until <= forget_days.cut order by h.until loop
        begin
            execute format('lock table %s in access exclusive mode', leaf.name);
            execute format('select count(*) from %s', leaf.name) into here;
            execute format('truncate %s', leaf.name);
            gone := gone + here;
            emptied := emptied || leaf.name::text;
        exception when lock_not_available then
            continue;
        end;
    end loop;
    begin
        for leaf in select unnest(emptied) as name loop
            execute format('drop table %s', leaf.name);
        end loop;
    exception when lock_not_available then
        null;
    end;
    return gone;
end
$$;
