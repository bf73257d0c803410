-- What is paused, and since when.
create or replace function paused()
returns table (kind text, name text, paused_at timestamptz)
language sql stable security definer
set search_path from current
as $$
    select p.kind, p.name, p.paused_at from pauses p order by p.kind collate "C", p.name collate "C"
$$;
