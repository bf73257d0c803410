-- Of the places that have ready jobs, above their floors or in their last life, those whose first are first of all, how_many at most;
-- nothing is locked to find out. See above() for places and cells. Part of fetch, with whose settings it runs.
create or replace function best_places(
    places integer[], names text[], ends integer[], highs smallint[], lows smallint[], floors bigint[], how_many integer
)
returns integer[]
language plpgsql stable
as $$
begin
    return array(
        select f.place from (
            select distinct on (e.place) e.place, e.priority, e.id from (
                select h.place, h.priority, h.id
                from heads(
                    best_places.places, best_places.names, best_places.ends, best_places.highs, best_places.lows, best_places.floors) h
                union all
                select p, l.priority, l.id from unnest(best_places.places) p, lateral (
                    select j.priority, j.id from jobs j
                    where j.queue = best_places.names[p] and j.state = 'ready' and j.losses >= j.max_losses - 1
                    order by j.priority desc, j.id limit 1) l) e
            order by e.place, e.priority desc, e.id) f
        order by f.priority desc, f.id limit best_places.how_many);
end
$$;
