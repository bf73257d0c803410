-- Of many queues, those whose first ready jobs are first of all; nothing is locked to find out.
create or replace function best_queues(queues text[], how_many integer)
returns text[]
language sql stable
as $$
    select array(
        select q from unnest($1) q, lateral (
            select j.priority, j.id from jobs j where j.queue = q and j.state = 'ready' order by j.priority desc, j.id limit 1) h
        order by h.priority desc, h.id limit $2)
$$;
