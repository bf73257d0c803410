-- Refuse a promise that no worker knows, and a version that no task can have.
create or replace function check_terms(delivery text, version integer)
returns void
language plpgsql immutable
as $$
begin
    if delivery is null or delivery not in ('at_least_once', 'at_most_once', 'transactional') then
        raise exception 'delivery must be at_least_once, at_most_once or transactional, not %', delivery using errcode = 'PQ002';
    elsif version is null or version < 1 then
        raise exception 'version must be a whole number from 1, not %', version using errcode = 'PQ002';
    end if;
end
$$;
