-- Whether code declares the schedule that a worker last declared then (null: none did). Workers repeat that each minute.
create or replace function is_declared(declared_at timestamptz, at timestamptz)
returns boolean
language sql immutable
as $$
    select ($1 > $2 - interval '5 minutes') is true
$$;
