-- Refuse what cannot make a job unique.
create or replace function check_unique(unique_key text, unique_scope text, unique_period interval, on_conflict text)
returns void
language plpgsql immutable
as $$
begin
    if coalesce(length(unique_key), 0) not between 1 and 500 then
        raise exception 'unique_key must have from 1 to 500 characters' using errcode = 'PQ002';
    elsif unique_scope is null or unique_scope not in ('waiting', 'live') then
        raise exception 'unique_scope must be waiting or live, not %', unique_scope using errcode = 'PQ002';
    elsif on_conflict is null or on_conflict not in ('raise', 'skip', 'replace') then
        raise exception 'on_conflict must be raise, skip or replace, not %', on_conflict using errcode = 'PQ002';
    elsif unique_period < '0' then
        raise exception 'unique_period must not be negative' using errcode = 'PQ002';
    end if;
end
$$;
