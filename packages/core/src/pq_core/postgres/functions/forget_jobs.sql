-- Delete, row by row, jobs that finished before the cut, of these states (null: of any), max_jobs of them at most (null: all);
-- return how many. Part of prune, with whose settings it runs. Rows that somebody holds are left to a later call.
--
-- With states null, days that ended before the cut are left to forget_days. Otherwise such a day is read to its end but once: if
-- it then holds none of these, a comment on it says so, for what is left of it may be much, and nothing enters a day that is
-- over. That is true of the database's own time only, hence `settled`.
create or replace function forget_jobs(cut timestamptz, states text[], max_jobs integer, settled boolean)
returns bigint
language plpgsql
as $$
declare
    day record;
    gone bigint := 0;
    here bigint;
begin
    for day in
        select h.name, h.until, h.lacks from history() h
        where h.until is null
            or (h.until - interval '1 day' < forget_jobs.cut and (forget_jobs.states is not null or h.until > forget_jobs.cut))
        order by h.until
    loop
        exit when gone >= forget_jobs.max_jobs;
        continue when forget_jobs.settled and day.lacks @> forget_jobs.states;
        execute format(
            'delete from %1$s where ctid = any (array('
            '    select f.ctid from %1$s f where f.finished_at < $1 and ($2 is null or f.state = any ($2))'
            '    limit $3 for update skip locked))', day.name)
        using forget_jobs.cut, forget_jobs.states, forget_jobs.max_jobs - gone;
        get diagnostics here = row_count;
        gone := gone + here;
        if here = 0 and forget_jobs.settled and day.until <= least(forget_jobs.cut, statement_timestamp() - interval '1 day') then
            perform note_lack(day.name, forget_jobs.states);
        end if;
    end loop;
    return gone;
end
$$;
