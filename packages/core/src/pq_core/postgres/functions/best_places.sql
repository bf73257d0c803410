-- Of the places that have ready jobs above their floors, those whose first are first of all, how_many at most; nothing is locked to
-- find out. last_life: jobs in their last life count too. See above() for places and cells. Part of fetch, with whose settings it runs.
create or replace function best_places(
    places integer[], names text[], ends integer[], highs smallint[], lows smallint[], floors bigint[], last_life boolean, how_many integer
)
returns integer[]
language plpgsql stable
as $$
begin
    return array(
        select p from unnest(best_places.places) p, lateral (
            (select f.priority, f.id
            from generate_series(coalesce(best_places.ends[p - 1], 0) + 1, best_places.ends[p]) n, lateral (
                (select j.priority, j.id from jobs j
                where best_places.highs[n] = best_places.lows[n] and j.queue = best_places.names[p] and j.state = 'ready'
                    and j.losses < j.max_losses - 1 and j.priority = best_places.highs[n] and j.id > best_places.floors[n]
                order by j.id limit 1)
                union all
                (select j.priority, j.id from jobs j
                where best_places.highs[n] > best_places.lows[n] and j.queue = best_places.names[p] and j.state = 'ready'
                    and j.losses < j.max_losses - 1 and j.priority between best_places.lows[n] and best_places.highs[n]
                    and j.id > best_places.floors[n]
                order by j.priority desc, j.id limit 1)
            ) f limit 1)
            union all
            (select j.priority, j.id from jobs j
            where best_places.last_life and j.queue = best_places.names[p] and j.state = 'ready' and j.losses >= j.max_losses - 1
            order by j.priority desc, j.id limit 1)
            order by 1 desc, 2 limit 1) h
        order by h.priority desc, h.id limit best_places.how_many);
end
$$;
