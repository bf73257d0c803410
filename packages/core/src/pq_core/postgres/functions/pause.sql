-- Let no job of the queue be fetched until it is resumed.
create or replace function pause(queue text, now timestamptz default null)
returns void
language sql security definer
set search_path from current
as $$
    insert into paused_queues (name, paused_at) values ($1, coalesce($2, statement_timestamp())) on conflict do nothing
$$;
