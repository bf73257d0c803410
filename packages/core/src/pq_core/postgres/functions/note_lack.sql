-- Note on a day of the history that it holds no job of these states, unless one is there that somebody holds. Part of prune.
create or replace function note_lack(day regclass, states text[])
returns void
language plpgsql
as $$
declare
    held boolean;
begin
    execute format('select exists (select from %s f where f.state = any ($1))', note_lack.day) into held using note_lack.states;
    if held then
        return;
    end if;
    execute format(
        'comment on table %s is %L', note_lack.day,
        'pq: holds no ' || (
            select string_agg(s, ', ' order by s) from (
                select unnest(note_lack.states) union select unnest(h.lacks) from history() h where h.name = note_lack.day) u (s)));
exception when lock_not_available then
    null;
end
$$;
