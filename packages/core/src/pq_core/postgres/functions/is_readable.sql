-- Whether every client can read such a moment, so that one job cannot stop those who fetch it. Without options of its own, so that
-- it costs no call.
create or replace function is_readable(moment timestamptz)
returns boolean
language sql immutable
as $$
    select $1 >= '1900-01-01 00:00+00' and $1 < '9000-01-01 00:00+00'
$$;
