-- Of many queues, those whose first ready jobs are first of all; nothing is locked to find out. Part of fetch, with whose
-- settings it runs; in plpgsql, which keeps the plan for the next call.
create or replace function best_queues(queues text[], how_many integer)
returns text[]
language plpgsql stable
as $$
begin
    return array(
        select q from unnest(best_queues.queues) q, lateral (
            select j.priority, j.id from jobs j where j.queue = q and j.state = 'ready' order by j.priority desc, j.id limit 1) h
        order by h.priority desc, h.id limit best_queues.how_many);
end
$$;
