-- Undo pause, and tell the queue's workers.
create or replace function resume(queue text default null, task text default null)
returns void
language sql security definer
set search_path from current
as $$
    delete from pauses
    where kind = case when $1 is not null then 'queue' when $2 is not null then 'task' else 'all' end and name = coalesce($1, $2, '');
    select announce(array[$1])
$$;
