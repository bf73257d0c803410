-- The first ready job of each place above its floors, whoever has it in hand. See above() for places and cells. Part of fetch, with
-- whose settings it runs.
create or replace function heads(
    places integer[], names text[], ends integer[], highs smallint[], lows smallint[], floors bigint[]
)
returns table (place integer, priority smallint, id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
begin
    return query
        select p, f.priority, f.id from unnest(heads.places) p, lateral (
            select c.priority, c.id
            from generate_series(coalesce(heads.ends[p - 1], 0) + 1, heads.ends[p]) n, lateral (
                (select j.priority, j.id from jobs j
                where heads.highs[n] = heads.lows[n] and j.queue = heads.names[p] and j.state = 'ready'
                    and j.losses < j.max_losses - 1 and j.priority = heads.highs[n] and j.id > heads.floors[n]
                order by j.id limit 1)
                union all
                (select j.priority, j.id from jobs j
                where heads.highs[n] > heads.lows[n] and j.queue = heads.names[p] and j.state = 'ready'
                    and j.losses < j.max_losses - 1 and j.priority between heads.lows[n] and heads.highs[n]
                    and j.id > heads.floors[n]
                order by j.priority desc, j.id limit 1)
            ) c limit 1) f;
end
$$;
