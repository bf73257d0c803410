-- Undo pause, and tell the queue's workers.
create or replace function resume(queue text)
returns void
language sql security definer
set search_path from current
as $$
    delete from paused_queues where name = $1;
    select announce(array[$1])
$$;
