-- Let no job of the queue, or of the task, be fetched until it is resumed; with neither named, no job at all.
create or replace function pause(queue text default null, now timestamptz default null, task text default null)
returns void
language sql security definer
set search_path from current
as $$
    insert into pauses (kind, name, paused_at)
    values (
        case when $1 is not null then 'queue' when $3 is not null then 'task' else 'all' end, coalesce($1, $3, ''),
        coalesce($2, statement_timestamp()))
    on conflict do nothing
$$;
