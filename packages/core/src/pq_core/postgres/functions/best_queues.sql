-- Of many queues, those whose first ready jobs are first of all; nothing is locked to find out. Part of fetch, with whose
-- settings it runs; in plpgsql, which keeps the plan for the next call.
create or replace function best_queues(queues text[], how_many integer)
returns text[]
language plpgsql stable
as $$
begin
    return array(
        select h.queue from unnest(best_queues.queues) q, lateral (
            (select j.queue, j.priority, j.id from jobs j
            where j.queue = q and j.state = 'ready' and j.losses < j.max_losses - 1 order by j.priority desc, j.id limit 1)
            union all
            (select j.queue, j.priority, j.id from jobs j
            where j.queue = q and j.state = 'ready' and j.losses >= j.max_losses - 1 order by j.priority desc, j.id limit 1)
            order by 2 desc, 3 limit 1) h
        order by h.priority desc, h.id limit best_queues.how_many);
end
$$;
