-- Refuse moments that some client could not read; see is_readable. null is none.
create or replace function check_times(scheduled_at timestamptz, expires_at timestamptz)
returns void
language plpgsql immutable
as $$
begin
    if not is_readable(scheduled_at) then
        raise exception 'scheduled_at, given or from now and a delay, must be in the years 1900 to 8999, not %', scheduled_at
            using errcode = 'PQ002';
    elsif not is_readable(expires_at) then
        raise exception 'expires_at, given or from now and expires_in, must be in the years 1900 to 8999, not %', expires_at
            using errcode = 'PQ002';
    end if;
end
$$;
