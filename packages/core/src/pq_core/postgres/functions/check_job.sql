-- Refuse a job that could not be fetched, or that would fail a batch in which it is moved.
create or replace function check_job(task text, queue text, lock text, args text)
returns void
language plpgsql immutable
as $$
begin
    if coalesce(length(task), 0) not between 1 and 500 then
        raise exception 'task must have from 1 to 500 characters' using errcode = 'PQ002';
    elsif coalesce(length(queue), 0) not between 1 and 500 then
        raise exception 'queue must have from 1 to 500 characters' using errcode = 'PQ002';
    elsif length(lock) not between 1 and 2000 then
        raise exception 'lock must have from 1 to 2000 characters' using errcode = 'PQ002';
    elsif left(ltrim(args, E' \t\r\n'), 1) is distinct from '{' then
        raise exception 'args must be a JSON object, with the arguments by name' using errcode = 'PQ002';
    end if;
end
$$;
